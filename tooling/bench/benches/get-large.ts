import { createHash } from 'node:crypto'
import { createReadStream, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Bench } from '../bench.ts'
import { writeLargeFile } from '../data.ts'
import { compare, medianOf, memoryMib, mibPerSecond } from '../figures.ts'
import type { Contestant } from '../lab.ts'
import { fillCache, openCachingStore } from '../remote.ts'
import { openBenchStore, rootOf } from '../stores.ts'

const MIB = 1024 * 1024
const KEY = 'large'
const WARM_UP = 'warm-up'

export const getLarge: Bench = {
  name: 'get-large',
  about: `A blob of 1 GiB, in the page cache, one at a time, as a stream whose chunks are dropped, verified on
both sides; one get of 1 MiB warms up. StoreD: get(key, { stream: true }). The rival streams the same file with
createReadStream, at the better of 64 KiB and 1 MiB a chunk, into SHA-256. Memory: highest RssAnon while measured, less that
after opening and the warm-up. "From the read cache": that of a backend which is not local, and which is not asked.`,

  sides: {
    async fill({ directory, params }) {
      const source = join(directory, 'source')
      writeLargeFile(source, Number(params.size), 'get-large')
      writeFileSync(join(directory, WARM_UP), Buffer.alloc(MIB))
      await using store = await openBenchStore(directory, true)
      await store.put(source, { key: KEY })
      await store.put(join(directory, WARM_UP), { key: WARM_UP })
      await store.synced()
    },

    async fillCache({ directory, params }) {
      const source = join(directory, 'source')
      writeLargeFile(source, Number(params.size), 'get-large')
      await using store = await openCachingStore(directory, true)
      await store.put(source, { key: KEY })
      await store.put(Buffer.alloc(MIB), { key: WARM_UP })
      await store.synced()
      await fillCache(store, [KEY, WARM_UP])
    },

    async stored({ directory, start, stop }) {
      const store = await openBenchStore(directory, false)
      const get = async (key: string) => countBytes(await store.get(key, { stream: true }))
      await get(WARM_UP)
      await start()
      await stop(await get(KEY))
      await store.close()
    },

    async cached({ directory, start, stop }) {
      const store = await openCachingStore(directory, false)
      const get = async (key: string) => countBytes(await store.get(key, { stream: true }))
      await get(WARM_UP)
      await start()
      await stop(await get(KEY))
      const { misses } = await store.cache.stats()
      if (misses > 0) throw new Error('it was not read from the cache')
      await store.close()
    },

    async stream({ directory, params, start, stop }) {
      const get = (key: string) => verify(join(rootOf(directory), key), Number(params.chunk))
      await get(WARM_UP)
      await start()
      await stop(await get(KEY))
    },
  },

  async run(lab) {
    const [directory, cached] = [lab.makeDirectory(), lab.makeDirectory()]
    const params = { size: lab.scaled(1024) * MIB }
    await lab.prepare('fill', directory, params)
    await lab.prepare('fillCache', cached, params)
    const streams = [64, 1024].map(
      (kib): Contestant => ({
        name: `createReadStream (${kib} KiB) + sha256`,
        side: 'stream',
        params: { chunk: kib * 1024 },
        directory,
      }),
    )
    const [ours = [], fromCache = [], ...rivals] = await lab.compete([
      { name: 'StoreD, fs backend', side: 'stored', directory },
      { name: 'StoreD, read cache', side: 'cached', directory: cached },
      ...streams,
    ])
    const against = streams.map(({ name }, i) => ({ name, samples: rivals[i] ?? [] }))
    const speed = { unit: 'MiB/s', better: 'more', figure: mibPerSecond, reach: { ratio: 0.9 } } as const
    const memory = { unit: 'MiB memory', better: 'less', figure: memoryMib, reach: { atMost: 64 } } as const
    return Object.entries({ 'from the fs backend': ours, 'from the read cache': fromCache }).flatMap(
      ([from, samples]) => {
        const bench = `get-large, ${from}`
        const results = [compare({ ...speed, bench }, samples, against)]
        if (medianOf(samples, memoryMib) !== null) results.push(compare({ ...memory, bench }, samples, against))
        return results
      },
    )
  },
}

async function countBytes(stream: AsyncIterable<Uint8Array>): Promise<number> {
  let size = 0
  for await (const chunk of stream) size += chunk.length
  return size
}

async function verify(path: string, highWaterMark: number): Promise<number> {
  const digest = createHash('sha256')
  let size = 0
  for await (const chunk of createReadStream(path, { highWaterMark }) as AsyncIterable<Buffer>) {
    digest.update(chunk)
    size += chunk.length
  }
  digest.digest('hex')
  return size
}
