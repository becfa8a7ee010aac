import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { MemoryBackend, MemoryPlace, type OpenContext, type WatchEvent } from '@stored/core/backend'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { all, type Case, type CaseSpec, capability, defineCases, outOfProcess } from '../src/case.ts'
import { check, nextTurn } from '../src/expect.ts'
import { cases, conformance, formatReport, type Harness, runConformance, showProgress } from '../src/index.ts'
import { makeReport } from '../src/report.ts'
import { planRun, type RunOptions } from '../src/runner.ts'
import { supervised } from '../src/supervised.ts'

const FACTS = { name: 'memory', profile: 'quick', complete: true, seed: 1, capabilities: null } as const
/** A test that would never end if timers cannot fire fails after this time. */
const GIVE_UP_MS = 3_000

/** Answers within the turn in which it is called, and never ends. */
class Endless extends MemoryBackend {
  readonly #end = performance.now() + GIVE_UP_MS
  override async stat(key: string) {
    return performance.now() < this.#end ? { key, size: 1 } : null
  }
  override async *list({ prefix }: { prefix: string }) {
    while (performance.now() < this.#end) yield { key: `${prefix}blob`, size: 1 }
  }
  override async get(key: string) {
    return { stat: { key, size: 2 ** 40 }, body: this.#body() }
  }
  override async *watch(): AsyncGenerator<WatchEvent, void, void> {
    while (performance.now() < this.#end) yield { type: 'overflow' }
  }
  async *#body() {
    while (performance.now() < this.#end) yield new Uint8Array(1)
  }
}

const harness: Harness = { name: 'memory', open: async () => new MemoryBackend() }

describe('a case', () => {
  it('that throws is failed, with what was broken, why it matters, what to declare, and how to repeat it', async () => {
    const [result] = await execute(
      { declare: 'keys.fileAndPrefix: false', run: async () => check(false, 'it holds') },
      { seed: 7 },
    )
    expect(result?.status === 'failed' && result.error.message.split('\n')).toEqual([
      'x.case: call, circumstance, outcome',
      '  expected it holds',
      '  why      it matters',
      '  declare  keys.fileAndPrefix: false, if the limit is real',
      "  again    { only: ['x.case'], profile: 'quick', seed: 7 }",
    ])
  })

  it('whose bytes differ is failed with the first difference, and with who wrote what lies there', async () => {
    const [result] = await execute({
      async run(t) {
        await t.store.put(t.key('blob'), Buffer.concat([t.bytes(64, 1), t.bytes(128, 2).subarray(64)]))
        await t.holds(t.key('blob'), t.bytes(128, 1))
      },
    })
    expect(result?.status === 'failed' && result.error.message).toContain(
      'differs first at byte 65: what writer 2 wrote at 65 instead of what writer 1 wrote at 65',
    )
  })

  it('that does not settle in time is failed', async () => {
    const [result] = await execute({ timeoutMs: 20, run: () => new Promise(() => {}) })
    expect(result?.status === 'failed' && result.error.message).toContain(
      'the whole case settles within 20 ms, but it did not',
    )
  })

  it('that waits for a call of the driver is failed with the name of that call', async () => {
    class Silent extends MemoryBackend {
      override stat(): Promise<never> {
        return new Promise(() => {})
      }
    }
    const run: CaseSpec['run'] = async (t) => void (await t.store.stat('t/blob'))
    const [result] = await execute({ timeoutMs: 20, run }, {}, { ...harness, open: async () => new Silent() })
    expect(result?.status === 'failed' && result.broken).toContain(
      'which waits for stat("t/blob"), settles within 20 ms',
    )
  })

  it.each<[string, CaseSpec['run']]>([
    ['list', async (t) => void (await t.names())],
    ['get', async (t) => void (await t.read(t.key('blob')))],
    ['watch', async (t) => void (await Array.fromAsync(t.guard.watch({ prefix: t.scope })))],
    [
      'stat',
      async (t) => {
        while ((await t.store.stat(t.key('blob'))) !== null);
      },
    ],
  ])('whose driver answers %s at once and without end is failed when its time is up', async (_, run) => {
    const [result] = await execute({ timeoutMs: 50, run }, {}, { ...harness, open: async () => new Endless() })
    expect(result?.status === 'failed' && result.broken).toContain('settles within 50 ms, but it did not')
  })

  it('whose time is up leaves its listings and bodies, so that neither keeps a file or a connection open', async () => {
    const [place, left] = [new MemoryPlace(), new Set<string>()]
    const over = new AbortController()
    async function* endless<T>(name: string, item: T): AsyncGenerator<T, void, void> {
      try {
        for (;;) {
          await nextTurn()
          yield item
        }
      } finally {
        left.add(name)
      }
    }
    class Holding extends MemoryBackend {
      override list = ({ prefix }: { prefix: string }) => endless('list', { key: `${prefix}blob`, size: 1 })
      override get = async (key: string) => ({ stat: { key, size: 2 ** 40 }, body: endless('get', new Uint8Array(1)) })
    }
    const driver = supervised(new Holding({ place }), new Set(), over.signal)
    const { body } = await driver.get('blob', over)
    const read = async (items: AsyncIterable<unknown>) => {
      for await (const _ of items) over.abort(new Error('the time is up'))
    }
    for (const items of [driver.list({ prefix: '', ...over }), body])
      await expect(read(items)).rejects.toThrow('the time is up')
    await nextTurn()
    expect([...left].sort()).toEqual(['get', 'list'])
  })

  it('that waits for another call of a driver which answers at once lets that call finish', async () => {
    /** A put takes turns of the event loop, everything else none. */
    class Hasty extends MemoryBackend {
      readonly #end = performance.now() + GIVE_UP_MS
      override async put(...args: Parameters<MemoryBackend['put']>) {
        await nextTurn()
        return super.put(...args)
      }
      override async stat(...args: Parameters<MemoryBackend['stat']>) {
        if (performance.now() > this.#end) throw new Error('nothing else ran in the meantime')
        return super.stat(...args)
      }
      override async get(...args: Parameters<MemoryBackend['get']>) {
        await this.stat(...args)
        return super.get(...args)
      }
    }
    const place = new MemoryPlace()
    const hasty = { name: 'hasty', open: async () => new Hasty({ place }) }
    const report = await runConformance(hasty, { only: ['at.poll', 'at.poll-stat'] })
    expect(report.failed.map(({ error }) => error.message)).toEqual([])
  })

  it('whose cleanup never ends is ended too', async () => {
    class Sticky extends MemoryBackend {
      override delete = () => new Promise<never>(() => {})
    }
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    const run: CaseSpec['run'] = async (t) => void (await t.store.put(t.key('blob'), t.bytes(1)))
    let isOver = false
    const place = new MemoryPlace()
    const results = execute({ run }, {}, { ...harness, open: async () => new Sticky({ place }) }).finally(() => {
      isOver = true
    })
    while (!isOver) {
      await vi.advanceTimersByTimeAsync(1_000)
      await nextTurn()
    }
    expect((await results)[0]?.status).toBe('proved')
  })

  it('is not blamed for what the one before it left behind', async () => {
    const left: string[] = ['of another case']
    const on = { ...harness, debris: async () => [...left] }
    const [clean] = await execute({ run: (t) => t.clean() }, {}, on)
    expect(clean?.status).toBe('proved')
    const litter: CaseSpec['run'] = async (t) => {
      left.push('its own')
      await t.clean()
    }
    const [litters] = await execute({ run: litter }, {}, on)
    expect(litters?.status === 'failed' && litters.broken).toBe(
      'what unfinished puts left behind is [], but was ["its own"]',
    )
  })

  it('that looks for debris ignores what was there before it', async () => {
    const on = { ...harness, debris: async () => ['of another case'] }
    const { failed, proved } = await runConformance(on, { only: ['ab.mid', 'src.debris', 'sz.short-parts'] })
    expect(failed).toEqual([])
    expect(proved.length).toBeGreaterThan(2)
  })

  it('that throws an unexpected error is failed with it, and with its cause', async () => {
    const run = () => Promise.reject(new Error('no such blob', { cause: new Error('ENOENT') }))
    const [result] = await execute({ run })
    expect(result?.status === 'failed' && result.broken).toBe(
      'that nothing fails, but there was Error: no such blob, because of Error: ENOENT',
    )
  })

  it('of a capability says that it should not be declared', async () => {
    const run = async () => check(false, 'it holds')
    const [result] = await execute({ needs: all(outOfProcess, capability('order')), run })
    expect(result?.status === 'failed' && result.error.message).toContain('  declare  no order, if the limit is real')
  })

  it('that leaves an unhandled rejection is failed', async () => {
    const listeners = process.listeners('unhandledRejection')
    process.removeAllListeners('unhandledRejection') // those of the test runner
    onTestFinished(() => listeners.forEach((listener) => void process.on('unhandledRejection', listener)))
    const [result] = await execute({ run: async () => void Promise.reject(new Error('nobody waits for this')) })
    expect(result?.status === 'failed' && result.error.message).toContain('nobody waits for this')
  })

  it('in which only the garbage collector closes a file is failed', async () => {
    const run = async () => process.emitWarning('Closing directory handle on garbage collection')
    const [result] = await execute({ run })
    expect(result?.status === 'failed' && result.error.message).toContain('no file is left open')
  })

  it('that needs something absent is skipped with the reason, and does not run', async () => {
    const run = vi.fn(async () => {})
    const [result] = await execute({ needs: () => 'no symbolic links', run })
    expect(result).toMatchObject({ status: 'skipped', reason: 'no symbolic links' })
    expect(run).not.toHaveBeenCalled()
  })

  it('of a larger profile is skipped', async () => {
    const [result] = await execute({ profile: 'soak', run: async () => {} }, { profile: 'full' })
    expect(result).toMatchObject({ status: 'skipped', reason: 'profile soak' })
  })

  it('marked raw runs in both views', async () => {
    const results = await execute({ raw: true, run: async () => {} })
    expect(results.map(({ view, status }) => [view, status])).toEqual([
      ['guarded', 'proved'],
      ['raw', 'proved'],
    ])
  })

  it('that fails and is waived is reported with its waiver', async () => {
    const waiver = { reason: 'the service cannot', issue: 'https://example.com/1' }
    const results = await execute(
      { run: async () => check(false, 'it holds') },
      {},
      { ...harness, waive: { 'x.case': waiver } },
    )
    expect(results[0]).toMatchObject({ status: 'waived', waiver })
    const report = makeReport(FACTS, results)
    expect(report.passed).toBe(true)
    expect(formatReport(report)).toContain('waived  x.case: the service cannot (https://example.com/1)')
  })

  it('that passes although it is waived is failed: the waiver must be removed', async () => {
    const waive = { 'x.case': { reason: 'the service cannot', issue: 'https://example.com/1' } }
    const results = await execute({ run: async () => {} }, {}, { ...harness, waive })
    expect(results[0]).toMatchObject({
      status: 'failed',
      broken: expect.stringContaining('but it passes: the service cannot (https://example.com/1)'),
    })
    expect(makeReport(FACTS, results).passed).toBe(false)
  })

  it.each(['guarded', 'raw'] as const)('that fails only in its %s view needs its waiver', async (failing) => {
    const waive = { 'x.case': { reason: 'the service cannot', issue: 'https://example.com/1' } }
    const run: CaseSpec['run'] = async ({ view }) => check(view !== failing, 'it holds')
    const results = await execute({ raw: true, run }, {}, { ...harness, waive })
    expect(new Set(results.map(({ status }) => status))).toEqual(new Set(['proved', 'waived']))
  })

  it('that is waived and skipped is skipped', async () => {
    const waive = { 'x.case': { reason: 'the service cannot', issue: 'https://example.com/1' } }
    const [result] = await execute({ needs: () => 'no symbolic links', run: async () => {} }, {}, { ...harness, waive })
    expect(result?.status).toBe('skipped')
  })

  it('that is only a should-case fails no run', async () => {
    const results = await execute({ level: 'should', run: async () => check(false, 'it holds') })
    const report = makeReport(FACTS, results)
    expect([report.failed.length, report.passed]).toEqual([1, true])
  })
})

describe('runConformance', () => {
  it('runs only the requested groups and cases', async () => {
    const { proved } = await runConformance(harness, { only: ['rt.bytes', 'md'] })
    const inGroup = cases.filter(({ id, group }) => group === 'md' && id !== 'md.undeclared').map(({ id }) => id)
    expect(new Set(proved.map(({ id }) => id))).toEqual(new Set(['rt.bytes', ...inGroup]))
  })

  it('refuses an unknown case, naming the nearest', async () => {
    await expect(runConformance(harness, { only: ['rt.byte'] })).rejects.toThrow('did you mean "rt.bytes"?')
  })

  it('refuses a waiver of an unknown case', async () => {
    const waive = { 'rt.byte': { reason: '', issue: '' } }
    await expect(runConformance({ ...harness, waive })).rejects.toThrow('did you mean "rt.bytes"?')
  })

  it('leaves nothing in the storage and nothing open', async () => {
    const place = new MemoryPlace()
    const opened: MemoryBackend[] = []
    /** The signal of a case is aborted before what it stored is removed. */
    class Strict extends MemoryBackend {
      override async open({ signal }: OpenContext): Promise<void> {
        signal?.throwIfAborted()
      }
    }
    const open = async () => {
      const backend = new Strict({ place })
      opened.push(backend)
      return backend
    }
    await runConformance({ name: 'memory', open }, { only: ['rt', 'at'] })
    expect([...place.blobs.keys()]).toEqual([])
    const { signal } = new AbortController()
    for (const backend of opened) await expect(backend.stat('x', { signal })).rejects.toMatchObject({ code: 'CLOSED' })
  })

  it('reports each result as it arrives', async () => {
    const ids: string[] = []
    await runConformance(harness, {
      only: ['rt.bytes', 'rt.modified'],
      onResult: ({ id, view }) => ids.push(id + view),
    })
    expect(ids).toEqual(['rt.bytesguarded', 'rt.bytesraw', 'rt.modifiedguarded'])
  })

  it('shows the running case on a terminal, and elsewhere one that takes long', async () => {
    const shown: string[] = []
    const terminal = { isTTY: true, write: (text: string) => shown.push(text) }
    await runConformance(harness, { only: ['rt.bytes'], ...showProgress(terminal) })
    expect(shown).toEqual(['\r\u001b[Krt.bytes', '\r\u001b[K', '\r\u001b[Krt.bytes (raw)', '\r\u001b[K'])
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    const lines: string[] = []
    const { onBegin, onResult } = showProgress({ write: (text) => lines.push(text) })
    onBegin({ id: 'rt.bytes', view: 'raw', label: 'rt.bytes (raw)', title: 'put and get' })
    vi.advanceTimersByTime(10_000)
    onResult(undefined as never)
    onBegin({ id: 'rt.etag', view: 'raw', label: 'rt.etag (raw)', title: 'etags' })
    onResult(undefined as never)
    vi.advanceTimersByTime(60_000)
    expect(lines).toEqual(['rt.bytes (raw): put and get … for 10 s\n'])
  })

  it('that is aborted abandons the running case, cleans up after it, and rejects with the reason', async () => {
    const [place, abort, reason] = [new MemoryPlace(), new AbortController(), new Error('never mind')]
    class Stuck extends MemoryBackend {
      override async get(...args: Parameters<MemoryBackend['get']>) {
        abort.abort(reason)
        await new Promise(() => {})
        return super.get(...args)
      }
    }
    const open = async () => new Stuck({ place })
    const run = runConformance({ name: 'stuck', open }, { only: ['rt'], signal: abort.signal })
    await expect(run).rejects.toBe(reason)
    expect([...place.blobs.keys()]).toEqual([])
  })

  it('on a shared storage neither writes nor sweeps outside its scope', async () => {
    const place = new MemoryPlace()
    const touched: string[] = []
    class Watched extends MemoryBackend {
      override put(...args: Parameters<MemoryBackend['put']>) {
        touched.push(args[0])
        return super.put(...args)
      }
      override async sweep(options: Parameters<MemoryBackend['sweep']>[0]) {
        if (options.olderThanMs < 30 * 24 * 3_600_000) touched.push('sweep')
        return super.sweep(options)
      }
    }
    const shared = { name: 'shared', shared: true, scope: (id: string) => `mine/${id}/` }
    const only = ['tr', 'ls.no-temp', 'at.sweep', 'cp']
    const { failed } = await runConformance({ ...shared, open: async () => new Watched({ place }) }, { only })
    expect(failed).toEqual([])
    expect(touched.filter((key) => !key.startsWith('mine/'))).toEqual([])
  })

  it('fails cp.proved for a declared capability that no case has tested', async () => {
    class Boastful extends MemoryBackend {
      override readonly capabilities = { ...new MemoryBackend().capabilities, teleport: true } as never
    }
    const place = new MemoryPlace()
    const { failed } = await runConformance({ name: 'boastful', open: async () => new Boastful({ place }) })
    expect(failed.map(({ id }) => id)).toEqual(['cp.schema', 'cp.proved'])
    expect(failed.at(-1)?.error.message).toContain('["teleport"]')
  })

  it('fails cp.schema for a method that is not declared', async () => {
    class Modest extends MemoryBackend {
      override readonly capabilities = { ...new MemoryBackend().capabilities, copy: false } as never
    }
    const { failed } = await runConformance({ name: 'modest', open: async () => new Modest() }, { only: ['cp'] })
    expect(failed.map(({ id }) => id)).toEqual(['cp.schema'])
  })
})

describe('conformance', () => {
  it('registers a test for every case, which fails if a must-case does and skips with the reason', async () => {
    class Modest extends MemoryBackend {
      override readonly capabilities = { ...new MemoryBackend().capabilities, copy: false, signedUrl: false } as never
    }
    const tests = new Map<string, (...args: unknown[]) => Promise<void>>()
    conformance(
      { name: 'modest', open: async () => new Modest() },
      { describe: (_, body) => body(), it: (name, body) => tests.set(name.split(':')[0] as string, body) },
      { only: ['cp.schema', 'cp.signed-url', 'cp.copy'] },
    )
    const skip = vi.fn()
    await expect(tests.get('cp.schema')?.()).rejects.toThrow('whether there is a method copy is false, but was true')
    await tests.get('cp.signed-url')?.({ skip })
    expect(skip).toHaveBeenCalledExactlyOnceWith('capability signedUrl is not declared')
    await expect(tests.get('cp.copy')?.()).resolves.toBeUndefined()
  })

  it('ends its process if close left something that keeps it alive, and names that', async () => {
    const file = fileURLToPath(new URL('./leaking.ts', import.meta.url))
    const ended = promisify(execFile)(process.execPath, [file], { timeout: 60_000, killSignal: 'SIGKILL' })
    const { code, stderr } = await ended.then(
      () => expect.fail('it ended well'),
      (error) => error,
    )
    expect(code).toBe(1)
    expect(stderr).toContain('close leaves nothing that keeps the process, but there is left: TCPServerWrap')
    expect(stderr).toMatch(/the process would not end, since a driver left open: .*TCPServerWrap/)
  })

  it('passes tests without a named parameter, which jest and mocha would take for a callback', () => {
    const lengths = new Set<number>()
    conformance(harness, { describe: (_, body) => body(), it: (_, body) => lengths.add(body.length) })
    expect([...lengths]).toEqual([0])
  })
})

async function execute(spec: Partial<CaseSpec> & Pick<CaseSpec, 'run'>, options: RunOptions = {}, on = harness) {
  const usual = { title: 'call, circumstance, outcome', why: 'it matters' }
  const only: readonly Case[] = defineCases('x', { case: { ...usual, ...spec } })
  const run = planRun(on, options, only)
  const results = []
  for (const planned of run.planned) results.push(await run.execute(planned))
  return results
}
