import type { Comparison, Reach } from './bench.ts'
import { Counters, type Counts } from './counters.ts'
import { idOf, inFlight, makeBlobs } from './data.ts'
import type { Lab, Sample } from './lab.ts'
import type { Side } from './side.ts'
import { openBenchStore } from './stores.ts'

const SIZE = 4096
const IN_FLIGHT = 64
const WARM_UP = 200

/** What is printed, from what is counted. */
const UNITS: Readonly<Record<string, (counts: Counts) => number>> = {
  promises: ({ promises }) => promises,
  timers: ({ timers }) => timers,
  reads: ({ gets, ranges }) => gets + ranges,
  'of them ranges': ({ ranges }) => ranges,
  trips: ({ trips }) => trips,
}
const REACHES: Readonly<Record<string, Reach>> = {
  promises: { atMost: 12 },
  timers: { atMost: 0 },
  reads: { atMost: 3 },
}

export const ABOUT = `What one get by id makes, counted in passes that nothing else is measured in; to the left of staged bytes, to the right of those of the
folder. Promises: all, by async_hooks, that of the caller's await among them. Reads: rows and ranges asked of LMDB. Trips: requests to
other threads.`

/** Puts blobs, brings them to the folder if that is asked, then gets each once, and counts. */
export const countGets: Side = async ({ directory, params, start, stop }) => {
  const count = Number(params.count)
  const counters = new Counters()
  await using store = await openBenchStore(directory, params.isSynced === 1)
  const blobs = makeBlobs(WARM_UP + count, SIZE, 'counted gets')
  await inFlight(IN_FLIGHT, blobs, (blob) => store.put(blob))
  if (params.isSynced === 1) await store.synced()
  const get = (some: readonly Buffer[]) => inFlight(IN_FLIGHT, some.map(idOf), (id) => store.get(id))
  await get(blobs.slice(0, WARM_UP))
  await start()
  const counts = await counters.during(count, () => get(blobs.slice(WARM_UP)))
  await stop(count, Object.fromEntries(Object.entries(UNITS).map(([unit, of]) => [unit, of(counts)])))
}

export async function compareCounts(lab: Lab): Promise<Comparison[]> {
  const count = lab.scaled(2000, IN_FLIGHT)
  const counted = async (isSynced: number) =>
    (await lab.prepare('count', lab.makeDirectory(), { count, isSynced })) as Sample
  const [staged, synced] = [await counted(0), await counted(1)]
  return Object.keys(UNITS).map((unit) => {
    const [ours, rival] = [staged, synced].map(({ figures }) => figures[unit] ?? Number.NaN) as [number, number]
    const reach = REACHES[unit]
    const what = { bench: 'get-small, a get of staged bytes', unit, rivalName: 'a get from the folder' }
    return { ...what, ours, rival, ratio: rival / ours, ...(reach && { reach }) }
  })
}
