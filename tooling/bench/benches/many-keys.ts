import type { Bench, Comparison } from '../bench.ts'
import { idOf, inFlight } from '../data.ts'
import { compare, median, told } from '../figures.ts'
import type { Sample } from '../lab.ts'
import type { Figures } from '../side.ts'
import { type BenchStore, DISK, openBenchStore } from '../stores.ts'

const BLOB = Buffer.from('the same bytes under each key')
const OTHER = Buffer.from('other bytes, to warm up with')
const IN_FLIGHT = 64
const FEW = 2
const MANY = [1000, 10_000]
/** In one cycle, of each kind: few, so that two keys do not become many. */
const CALLS = 8
const CYCLES = 24
const WARM_UP = 24
/** Until no further cycle begins, and no further key is added as the store is filled. */
const MOST_SECONDS = { cycles: 8, fill: 60 }

/** What is measured, in microseconds of processor time for each call. What is not bounded is shown for information. */
const KINDS = {
  put: { name: 'put of another key', isBounded: true },
  statKey: { name: 'stat(key)', isBounded: true },
  statId: { name: 'stat(id)', isBounded: false },
  settle: { name: 'settling a copy', isBounded: true },
  delete: { name: 'delete of a key', isBounded: true },
} as const
type Kind = keyof typeof KINDS

export const manyKeys: Bench = {
  name: 'many-keys',
  about: `One blob of ${BLOB.length} bytes under ${MANY.map((n) => n.toLocaleString('en')).join(' and ')} keys, each with a synced copy of its own in an fs backend; the rival has it under ${FEW}.
${CALLS} further keys are put, stat() is asked of theirs and of the blob's id, their copies are made and settled, and they are deleted;
again and again, at most ${CYCLES} times. The figure is the processor time of a call, of all threads, median of these cycles; settling
includes making the copy. Where filling takes more than ${MOST_SECONDS.fill} s, the name of the bench says how many keys there came to be.`,

  sides: {
    async fill({ directory, params, start, stop }) {
      await using store = await openBenchStore(directory, true)
      const keys = Array.from({ length: Number(params.keys) }, (_, i) => `keys/${i}`)
      const until = performance.now() + MOST_SECONDS.fill * 1000
      let filled = 0
      await start()
      while (filled < keys.length && performance.now() < until) {
        const some = keys.slice(filled, filled + IN_FLIGHT)
        await inFlight(IN_FLIGHT, some, (key) => store.put(BLOB, { key }))
        await store.synced()
        filled += some.length
      }
      await stop(filled)
    },

    async calls({ directory, start, stop }) {
      await using store = await openBenchStore(directory, true)
      for (let i = 0; i < WARM_UP; i++) await cycle(store, OTHER)
      const until = performance.now() + MOST_SECONDS.cycles * 1000
      const cycles: Record<Kind, number>[] = []
      await start()
      while (cycles.length === 0 || (cycles.length < CYCLES && performance.now() < until))
        cycles.push(await cycle(store, BLOB))
      await stop(cycles.length * CALLS, medians(cycles))
    },
  },

  async run(lab) {
    const stores = [FEW, ...MANY.map((keys) => lab.scaled(keys, 10))].map((keys) => ({
      keys,
      directory: lab.makeDirectory(),
    }))
    const filled: number[] = []
    for (const { keys, directory } of stores) filled.push((await lab.prepare('fill', directory, { keys }))?.count ?? 0)
    const contestants = stores.map(({ keys, directory }) => ({ name: `${keys} keys`, side: 'calls', directory }))
    const [few = [], ...many] = await lab.compete(contestants)
    return many.flatMap((samples, i) => compareWithFew(filled[i + 1] ?? 0, samples, few))
  },
}

function compareWithFew(keys: number, many: readonly Sample[], few: readonly Sample[]): Comparison[] {
  return Object.entries(KINDS).map(([kind, { name, isBounded }]) => {
    const bench = `many-keys, ${keys.toLocaleString('en')}`
    const what = { bench, unit: `µs, ${name}`, better: 'less', figure: told(kind) } as const
    // 1.5 times as long.
    return compare({ ...what, ...(isBounded && { reach: { ratio: 0.67 } }) }, many, [
      { name: `under ${FEW}`, samples: few },
    ])
  })
}

/** Leaves the keys as they were. */
async function cycle(store: BenchStore, blob: Buffer): Promise<Record<Kind, number>> {
  const keys = Array.from({ length: CALLS }, (_, i) => `more/${i}`)
  const all = (call: (key: string) => Promise<unknown>) => processorTime(() => inFlight(CALLS, keys, call))
  const synced = () => processorTime(() => store.resume(DISK).then(() => store.synced()))
  await store.pause(DISK)
  const put = await all((key) => store.put(blob, { key }))
  const statKey = await all((key) => store.stat(key))
  const statId = await all(() => store.stat(idOf(blob)))
  const settle = await synced()
  await store.pause(DISK)
  const deletion = await all((key) => store.delete(key))
  await synced()
  return { put, statKey, statId, settle, delete: deletion }
}

/** @returns Microseconds for each of the calls, of all threads. */
async function processorTime(run: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage()
  await run()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / CALLS
}

function medians(cycles: readonly Record<Kind, number>[]): Figures {
  const kinds = Object.keys(KINDS) as Kind[]
  return Object.fromEntries(kinds.map((kind) => [kind, median(cycles.map((each) => each[kind]))]))
}
