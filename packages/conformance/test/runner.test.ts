import { MemoryBackend, MemoryPlace } from '@stored/core/backend'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { type Case, type CaseSpec, defineCases } from '../src/case.ts'
import { check } from '../src/expect.ts'
import { cases, conformance, formatReport, type Harness, runConformance } from '../src/index.ts'
import { makeReport } from '../src/report.ts'
import { planRun, type RunOptions } from '../src/runner.ts'

const harness: Harness = { name: 'memory', open: async () => new MemoryBackend() }

describe('a case', () => {
  it('that throws is failed, with what was broken, why it matters, what to declare, and how to repeat it', async () => {
    const [result] = await execute(
      { declare: 'keys.fileAndPrefix: false', run: async () => check(false, 'it holds') },
      { seed: 7 },
    )
    expect(result?.status === 'failed' && result.error.message.split('\n')).toEqual([
      'x.case: call, circumstance, outcome',
      '  broken   BrokenPromise: it holds',
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

  it('that does not settle in its time is failed', async () => {
    const [result] = await execute({ timeoutMs: 20, run: () => new Promise(() => {}) })
    expect(result?.status === 'failed' && result.error.message).toContain('the whole case settles within 20 ms')
  })

  it('that leaves an unhandled rejection is failed', async () => {
    const listeners = process.listeners('unhandledRejection')
    process.removeAllListeners('unhandledRejection') // those of the test runner
    onTestFinished(() => listeners.forEach((listener) => void process.on('unhandledRejection', listener)))
    const [result] = await execute({ run: async () => void Promise.reject(new Error('nobody waits for this')) })
    expect(result?.status === 'failed' && result.error.message).toContain('nobody waits for this')
  })

  it('in which a file is closed by the garbage collector alone is failed', async () => {
    const run = async () => process.emitWarning('Closing directory handle on garbage collection')
    const [result] = await execute({ run })
    expect(result?.status === 'failed' && result.error.message).toContain('leaves a file open')
  })

  it('that needs what is not there is skipped with the reason, and does not run', async () => {
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
    const report = makeReport({ name: 'memory', profile: 'quick', seed: 1, refused: [] }, results)
    expect(report.passed).toBe(true)
    expect(formatReport(report)).toContain('waived  x.case: the service cannot (https://example.com/1)')
  })

  it('that only should hold fails no run', async () => {
    const results = await execute({ level: 'should', run: async () => check(false, 'it holds') })
    const report = makeReport({ name: 'memory', profile: 'quick', seed: 1, refused: [] }, results)
    expect([report.failed.length, report.passed]).toEqual([1, true])
  })
})

describe('runConformance', () => {
  it('runs only the groups and cases asked for', async () => {
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
    const open = async () => {
      const backend = new MemoryBackend({ place })
      opened.push(backend)
      return backend
    }
    await runConformance({ name: 'memory', open }, { only: ['rt', 'at'] })
    expect([...place.blobs.keys()]).toEqual([])
    const { signal } = new AbortController()
    for (const backend of opened) await expect(backend.stat('x', { signal })).rejects.toMatchObject({ code: 'CLOSED' })
  })

  it('fails cp.proved for a declared capability that no case has put to the test', async () => {
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
  it('registers a test for every case, which fails where a must-case does and skips with the reason', async () => {
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

  it('hands over tests without a named parameter, which jest and mocha would take for a callback', () => {
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
