import { join } from 'node:path'
import type { Bench } from '../bench.ts'
import { readFile } from '../callbacks.ts'
import { ABOUT as ABOUT_COUNTS, compareCounts, countGets } from '../counted-gets.ts'
import { idOf, inFlight, makeBlobs, shuffled } from '../data.ts'
import { compare, rate } from '../figures.ts'
import { fillCache, openCachingStore } from '../remote.ts'
import { openBenchStore, rootOf } from '../stores.ts'

const SIZE = 4096
const IN_FLIGHT = 64
/** Gets before the clock starts, on every side, of blobs that are not read again. */
const WARM_UP = 1000

/** What is read, in the order in which it is read. */
function idsOf({ count = 0 }: { readonly count?: number }): { warmUp: string[]; ids: string[] } {
  const all = shuffled(makeBlobs(WARM_UP + count, SIZE, 'get-small').map(idOf), 'order')
  return { warmUp: all.slice(0, WARM_UP), ids: all.slice(WARM_UP) }
}

export const getSmall: Bench = {
  name: 'get-small',
  about: `20,000 distinct blobs of 4 KiB by id, in a shuffled order, 64 in flight, each verified, from a warm page cache, after
${WARM_UP} gets of others; the same order and the default thread pool on both sides. "From staging": nothing was synced yet.
"From the fs backend": everything was, and staging is empty. The rival reads with fs.readFile the very files of that backend,
and compares their SHA-256 with the name. It looks nothing up. "From the read cache": that of a backend which is not local, and
which is not asked.
${ABOUT_COUNTS}`,

  sides: {
    async fill({ directory, params }) {
      await using store = await openBenchStore(directory, params.sync === 1)
      await inFlight(IN_FLIGHT, makeBlobs(WARM_UP + Number(params.count), SIZE, 'get-small'), (blob) => store.put(blob))
      if (params.sync === 1) await store.synced()
    },

    async stored({ directory, params, start, stop }) {
      const { warmUp, ids } = idsOf(params)
      const store = await openBenchStore(directory, false)
      await inFlight(IN_FLIGHT, warmUp, (id) => store.get(id))
      await start()
      await inFlight(IN_FLIGHT, ids, (id) => store.get(id))
      await stop(ids.length)
      await store.close()
    },

    async fillCache({ directory, params }) {
      await using store = await openCachingStore(directory, true)
      const blobs = makeBlobs(WARM_UP + Number(params.count), SIZE, 'get-small')
      await inFlight(IN_FLIGHT, blobs, (blob) => store.put(blob))
      await store.synced()
      await fillCache(store, blobs.map(idOf))
    },

    async cached({ directory, params, start, stop }) {
      const { warmUp, ids } = idsOf(params)
      const store = await openCachingStore(directory, false)
      await inFlight(IN_FLIGHT, warmUp, (id) => store.get(id))
      await start()
      await inFlight(IN_FLIGHT, ids, (id) => store.get(id))
      await stop(ids.length)
      const { misses } = await store.cache.stats()
      if (misses > 0) throw new Error(`${misses} gets were not from the cache`)
      await store.close()
    },

    count: countGets,

    async files({ directory, params, start, stop }) {
      const { warmUp, ids } = idsOf(params)
      const root = rootOf(directory)
      const paths = new Map([...warmUp, ...ids].map((id) => [id, join(root, keyOf(id))]))
      const get = async (id: string): Promise<void> => {
        const bytes = await readFile(paths.get(id) as string)
        if (idOf(bytes) !== id) throw new Error(`wrong bytes for ${id}`)
      }
      await inFlight(IN_FLIGHT, warmUp, get)
      await start()
      await inFlight(IN_FLIGHT, ids, get)
      await stop(ids.length)
    },
  },

  async run(lab) {
    const [staged, synced, cached] = [lab.makeDirectory(), lab.makeDirectory(), lab.makeDirectory()]
    const params = { count: lab.scaled(20_000, IN_FLIGHT) }
    await lab.prepare('fill', staged, { ...params, sync: 0 })
    await lab.prepare('fill', synced, { ...params, sync: 1 })
    await lab.prepare('fillCache', cached, params)
    const [fromStaging = [], fromBackend = [], fromCache = [], files = []] = await lab.compete([
      { name: 'StoreD, staged', side: 'stored', params, directory: staged },
      { name: 'StoreD, fs backend', side: 'stored', params, directory: synced },
      { name: 'StoreD, read cache', side: 'cached', params, directory: cached },
      { name: 'readFile', side: 'files', params, directory: synced },
    ])
    const against = [{ name: 'readFile + sha256', samples: files }]
    const what = { unit: 'gets/s', better: 'more', figure: rate } as const
    return [
      compare({ ...what, bench: 'get-small, from staging', reach: { ratio: 1 } }, fromStaging, against),
      compare({ ...what, bench: 'get-small, from the fs backend', reach: { ratio: 0.7 } }, fromBackend, against),
      compare({ ...what, bench: 'get-small, from the read cache', reach: { ratio: 0.7 } }, fromCache, against),
      ...(await compareCounts(lab)),
    ]
  },
}

/** Where a put without a key lies, as documented. */
function keyOf(id: string): string {
  const hash = id.slice('sha256:'.length)
  return `blobs/sha256/${hash.slice(0, 2)}/${hash.slice(2, 4)}/${hash}`
}
