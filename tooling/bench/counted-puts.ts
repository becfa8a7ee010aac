import type { Comparison, Reach } from './bench.ts'
import { Counters, type Counts } from './counters.ts'
import { inFlight, makeBlobs } from './data.ts'
import type { Lab, Sample } from './lab.ts'
import type { Side } from './side.ts'
import { openBenchStore } from './stores.ts'

const SIZE = 4096
const IN_FLIGHT = 64
const WARM_UP = 200

/** What a put is counted as: of a new key; of a bound key, by a new blob; of a bound key, by a blob that another key has. */
const NAMES = { put: 'a put', replacement: 'a replacement', exchange: 'an exchange' } as const
type Kind = keyof typeof NAMES
const KINDS = Object.keys(NAMES) as Kind[]

/** What is printed, from what is counted. */
const UNITS: Readonly<Record<string, (counts: Counts) => number>> = {
  promises: ({ promises }) => promises,
  reads: ({ gets, ranges }) => gets + ranges,
  'of them ranges': ({ ranges }) => ranges,
  rows: ({ rows }) => rows,
  trips: ({ trips }) => trips,
}
const REACHES: Readonly<Record<Kind, Readonly<Record<string, Reach>>>> = {
  put: { promises: { atMost: 35 }, reads: { atMost: 11 } },
  replacement: { reads: { atMost: 16 } },
  exchange: { reads: { atMost: 16 } },
}

export const ABOUT = `What one call makes, counted in passes that nothing else is measured in; to the left put() alone, to the right with syncing, until all
is synced. A replacement is a put of a new blob under a key that is bound; an exchange is one of a blob that another key has.
Promises: all, by async_hooks, that of the caller's await among them. Reads: rows and ranges asked of LMDB. Rows: written and
removed. Trips: requests to other threads, of libuv's pool and of LMDB's writer.`

/** Puts blobs under new keys, then others under the same keys, then each under the next one's key, and counts. */
export const countPuts: Side = async ({ directory, params, start, stop }) => {
  const [count, isSyncing] = [Number(params.count), params.isSyncing === 1]
  const counters = new Counters()
  await using store = await openBenchStore(directory, isSyncing)
  const put = async (blobs: readonly Buffer[]) => {
    await inFlight(IN_FLIGHT, [...blobs.entries()], ([i, blob]) => store.put(blob, { key: `puts/${i}` }))
    if (isSyncing) await store.synced()
  }
  await inFlight(IN_FLIGHT, makeBlobs(WARM_UP, SIZE, 'warm-up'), (blob) => store.put(blob))
  if (isSyncing) await store.synced()
  const all = makeBlobs(2 * count, SIZE, 'counted')
  await start()
  const counts: Record<Kind, Counts> = {
    put: await counters.during(count, () => put(all.slice(0, count))),
    replacement: await counters.during(count, () => put(all.slice(count))),
    exchange: await counters.during(count, () => put([...all.slice(count + 1), ...all.slice(count, count + 1)])),
  }
  await stop(KINDS.length * count, figuresOf(counts))
}

export async function compareCounts(lab: Lab): Promise<Comparison[]> {
  const count = lab.scaled(2000, IN_FLIGHT)
  const counted = async (isSyncing: number) =>
    (await lab.prepare('count', lab.makeDirectory(), { count, isSyncing })) as Sample
  const [ours, syncing] = [await counted(0), await counted(1)]
  return KINDS.flatMap((kind) =>
    Object.keys(UNITS).map((unit) => {
      const figure = ({ figures }: Sample) => figures[nameOf(kind, unit)] ?? Number.NaN
      const reach = REACHES[kind][unit]
      return {
        bench: `put-small, ${NAMES[kind]}`,
        unit,
        ours: figure(ours),
        rival: figure(syncing),
        rivalName: 'with syncing, until synced',
        ratio: figure(syncing) / figure(ours),
        ...(reach && { reach }),
      }
    }),
  )
}

function figuresOf(counts: Record<Kind, Counts>): Record<string, number> {
  return Object.fromEntries(
    KINDS.flatMap((kind) => Object.entries(UNITS).map(([unit, of]) => [nameOf(kind, unit), of(counts[kind])])),
  )
}

function nameOf(kind: Kind, unit: string): string {
  return `${kind}: ${unit}`
}
