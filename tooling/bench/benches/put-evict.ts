import type { Bench } from '../bench.ts'
import { idOf, inFlight, makeBlobs } from '../data.ts'
import { compare, percentile99, told } from '../figures.ts'
import { openCachingStore } from '../remote.ts'
import type { Params } from '../side.ts'

const SIZE = 4096
const IN_FLIGHT = 64
const WARM_UP = 500
/** Puts for each read. */
const PUTS = 4
/** What a full cache holds of all that is read. */
const SHARE = 0.1

export const putEvict: Bench = {
  name: 'put-evict',
  about: `20,000 distinct random blobs of 4 KiB from memory, ${IN_FLIGHT} in flight, ${WARM_UP} before the clock starts; for every ${PUTS} of them another
blob of that size is read from a backend that is not local, which fills the read cache. The figure is the time that 99 of 100
puts stay below, in ms. StoreD: the cache holds a tenth of what is read, so that it evicts as often as it is filled. The rival is
the same store with room for everything. Each round makes sure that it was so.`,

  sides: {
    async fillPool({ directory, params }) {
      await using store = await openCachingStore(directory, true)
      await inFlight(IN_FLIGHT, poolOf(params), (blob) => store.put(blob))
      await store.synced()
    },

    async stored({ directory, params, start, stop }) {
      const [count, reads] = [Number(params.count), Number(params.reads)]
      const pool = poolOf(params).map(idOf)
      const isEvicting = params.isEvicting === 1
      const maxSize = isEvicting ? Math.ceil(reads * SIZE * SHARE) : 2 ** 40
      await using store = await openCachingStore(directory, false, maxSize)
      const blobs = makeBlobs(WARM_UP + count, SIZE, 'put-evict')
      await inFlight(IN_FLIGHT, blobs.slice(0, WARM_UP), (blob) => store.put(blob))
      const times: number[] = []
      let reading: Promise<unknown> = Promise.resolve()
      await start()
      await inFlight(IN_FLIGHT, blobs.slice(WARM_UP), async (blob) => {
        const read = times.length % PUTS === 0 ? pool.pop() : undefined
        if (read !== undefined) reading = reading.then(() => store.get(read))
        const began = performance.now()
        await store.put(blob)
        times.push(performance.now() - began)
      })
      await reading
      const { entries, misses } = await store.cache.stats()
      if (misses < reads) throw new Error(`${misses} of ${reads} reads were not from the cache`)
      if (entries <= reads * SHARE !== isEvicting) throw new Error(`${entries} entries are left of ${reads}`)
      await stop(count, { p99: percentile99(times) })
    },
  },

  async run(lab) {
    const count = lab.scaled(20_000, 2000)
    const reads = Math.floor(count / PUTS)
    const contestant = (name: 'evicting' | 'quiet') => ({
      name,
      side: 'stored',
      params: { count, reads, isEvicting: name === 'evicting' ? 1 : 0 },
      before: (directory: string) => lab.prepare('fillPool', directory, { reads }),
    })
    const [evicting = [], quiet = []] = await lab.compete([contestant('evicting'), contestant('quiet')])
    const what = { bench: 'put-evict', unit: 'p99 ms', better: 'less', figure: told('p99') } as const
    return [compare({ ...what, reach: { ratio: 0.83 } }, evicting, [{ name: 'without evictions', samples: quiet }])]
  },
}

function poolOf({ reads }: Params): Buffer[] {
  return makeBlobs(Number(reads), SIZE, 'put-evict pool')
}
