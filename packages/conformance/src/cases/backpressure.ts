import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { PutOptions, Stat } from '@stored/core/backend'
import { type Ctx, defineCases, hook, outOfProcess } from '../case.ts'
import { check, equal, eventually, settle, started } from '../expect.ts'
import { staysSmall, watchMemory } from '../memory.ts'
import { payloadStream } from '../payload.ts'
import { openFiles } from '../resources.ts'
import { sleep } from '../slow.ts'

const MB = 1 << 20
const GB = 1 << 30
/** How far a source may be read ahead of what has been sent; two parts, if those are larger. */
const AHEAD_BYTES = 16 * MB
/** The most that the system and the proxy hold of a stalled connection; the driver has sent these bytes. */
const IN_FLIGHT_BYTES = 16 * MB
const QUIET_MS = 500
const PARALLEL = 32
const RELEASE_MS = 2_000
const FITS = 'What does not fit into memory cannot be stored at all, and takes the process with it.'

export const backpressure = defineCases('bp', {
  put: {
    title: 'put over a connection that has stalled stops reading its source',
    why: FITS,
    needs: hook('endpoint'),
    async run(t) {
      const { guard, proxy } = await t.through()
      const ahead = Math.max(AHEAD_BYTES, 2 * (t.capabilities.limits?.partSize ?? 0)) + IN_FLIGHT_BYTES
      const source = new Repeated(4 * ahead)
      const abort = new AbortController()
      proxy.throttle(MB, 'up')
      const put = started(guard.put(t.key('blob'), source, { size: source.size, signal: abort.signal }))
      await untilQuiet(source, t.signal)
      const { sent } = source
      abort.abort(new Error('stop'))
      await settle(put)
      check(sent <= ahead, `it reads at most ${ahead} bytes ahead, but it read ${sent}`)
    },
  },
  get: {
    title: 'get of 1 GiB whose reader pauses holds only a little of it',
    why: FITS,
    profile: 'full',
    needs: outOfProcess,
    async run(t) {
      await t.store.put(t.key('blob'), new Repeated(GB), { size: GB })
      const memory = watchMemory(t)
      const { body } = await t.store.get(t.key('blob'))
      let size = 0
      for await (const chunk of body) {
        if (size === 0) await sleep(QUIET_MS, t.signal)
        size += chunk.byteLength
        memory.passed(chunk.byteLength)
      }
      equal(size, GB, 'the number of bytes read')
      staysSmall(memory)
    },
  },
  'put-1g': {
    title: 'put of 1 GiB holds only a little of it',
    why: FITS,
    profile: 'full',
    needs: outOfProcess,
    async run(t) {
      const memory = watchMemory(t)
      const source = new Repeated(GB, (bytes) => memory.passed(bytes))
      const stat = await t.store.put(t.key('blob'), source, { size: GB })
      memory.look()
      equal(stat.size, GB, 'the size that put gives')
      staysSmall(memory)
    },
  },
  parallel: {
    title: `${PARALLEL} puts at once are all stored, and no more of them under way than the driver declares`,
    why: 'Each holds its parts: without a limit their sum grows with the number of callers.',
    timeoutMs: 120_000,
    async run(t) {
      const size = t.profile === 'quick' ? MB : 8 * MB
      const { maxConcurrent = Number.POSITIVE_INFINITY } = t.capabilities.limits ?? {}
      const under = { way: 0, most: 0 }
      const driver = await t.driver()
      const { guard } = await t.spied({
        async put(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat> {
          under.most = Math.max(under.most, ++under.way)
          return driver.put(key, body, options).finally(() => under.way--)
        },
      })
      const writers = Array.from({ length: PARALLEL }, (_, i) => i + 1)
      await Promise.all(
        writers.map((writer) => guard.put(t.key(`blob${writer}`), payloadStream(t.seed, writer, size), { size })),
      )
      check(under.most <= maxConcurrent, `at most ${maxConcurrent} puts are under way, but there were ${under.most}`)
      for (const writer of writers) await t.holds(t.key(`blob${writer}`), t.bytes(size, writer))
    },
  },
  handles: {
    title: '500 operations leave as much open as there was before',
    why: 'A file or connection left open by each call ends in EMFILE, after a week.',
    raw: true,
    timeoutMs: 120_000,
    async run(t) {
      await everything(t) // opens what is kept on purpose: a connection pool
      const before = openFiles()
      for (let i = 0; i < 100; i++) await everything(t)
      await eventually(() => openFiles() < before + 10, RELEASE_MS, 'what 500 operations opened is closed again')
    },
  },
  loop: {
    title: 'put of 1 GiB holds up the event loop for less than 100 ms, all but one time in a hundred',
    why: 'Everything else in the program waits for it.',
    // Other programs on the machine can make it fail.
    level: 'should',
    profile: 'full',
    needs: outOfProcess,
    async run(t) {
      const delay = monitorEventLoopDelay({ resolution: 10 })
      delay.enable()
      try {
        await t.store.put(t.key('blob'), new Repeated(GB), { size: GB })
      } finally {
        delay.disable()
      }
      const worst = Math.round(delay.percentile(99) / 1e6)
      check(worst < 100, `99 of 100 turns take less than 100 ms, but it was ${worst}`)
    },
  },
})

/** A body of any size that takes no memory: the same bytes over and over. */
class Repeated implements AsyncIterable<Uint8Array> {
  /** Bytes handed out so far. */
  sent = 0
  readonly size: number
  readonly #chunk = Buffer.alloc(256 << 10, 'repeated')
  readonly #onSent: (bytes: number) => void

  constructor(size: number, onSent: (bytes: number) => void = () => {}) {
    this.size = size
    this.#onSent = onSent
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    while (this.sent < this.size) {
      const chunk = this.#chunk.subarray(0, this.size - this.sent)
      this.sent += chunk.byteLength
      this.#onSent(chunk.byteLength)
      yield chunk
    }
  }
}

/** Resolves when hardly anything of `source` has been read for a while, or all of it has. */
async function untilQuiet(source: Repeated, signal: AbortSignal): Promise<void> {
  // At the proxy's rate a little is always being read; what counts is that the driver no longer reads ahead.
  for (let before = -MB; source.sent < source.size && source.sent - before >= MB; ) {
    before = source.sent
    await sleep(QUIET_MS, signal)
  }
}

async function everything(t: Ctx): Promise<void> {
  const key = t.key('blob')
  await t.store.put(key, t.bytes(100))
  await t.store.stat(key)
  await t.read(key)
  await t.names()
  await t.store.delete(key)
}
