import { join } from 'node:path'
import { FsBackend } from '@stored/driver-fs'
import { openStore } from '@stored/node'
import type { Bench } from '../bench.ts'
import { makeBlobs } from '../data.ts'
import { compare, percentile99, told } from '../figures.ts'
import { DISK, rootOf } from '../stores.ts'

const BYTES = 4096
const PER_SECOND = 200
const IDLE_TIMEOUT_MS = 2000

/** Accepts every write and never answers. */
class HangingBackend extends FsBackend {
  override put(...[, , { signal }]: Parameters<FsBackend['put']>): ReturnType<FsBackend['put']> {
    return new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason))
    })
  }
}

export const isolation: Bench = {
  name: 'isolation',
  about: `2,000 blobs of 4 KiB, ${PER_SECOND} a second, put into one store with an fs backend. The figure is the time from put to
sync:complete that 99 of 100 copies on that backend stay below, in ms. StoreD: beside it the same blobs are owed to a backend
that accepts every write and never answers, with calls given up after ${IDLE_TIMEOUT_MS / 1000} s. The rival is the same store without that one.`,

  sides: {
    async stored({ directory, params, start, stop }) {
      const isBeside = params.beside === 1
      await using store = await openStore({
        path: join(directory, 'store'),
        backends: {
          [DISK]: { driver: 'fs', root: rootOf(directory) },
          ...(isBeside && {
            hanging: {
              backend: new HangingBackend({ root: join(directory, 'hanging') }),
              idleTimeoutMs: IDLE_TIMEOUT_MS,
            },
          }),
        },
      })
      const blobs = makeBlobs(Number(params.count), BYTES, 'isolation')
      const acknowledged = new Map<string, number>()
      const lags: number[] = []
      const all = Promise.withResolvers<void>()
      store.on('sync:complete', ({ backend, key }) => {
        if (backend !== DISK) return
        lags.push(performance.now() - (acknowledged.get(key) ?? Number.NaN))
        if (lags.length === blobs.length) all.resolve()
      })
      await start()
      await atPace(blobs, async (blob, i) => {
        const key = `blob-${i}`
        acknowledged.set(key, performance.now())
        await store.put(blob, { key })
      })
      await all.promise
      await stop(blobs.length, { p99: percentile99(lags) })
    },
  },

  async run(lab) {
    const count = lab.scaled(2000, PER_SECOND)
    const contestant = (name: 'beside' | 'alone') => {
      return { name, side: 'stored', params: { count, beside: name === 'beside' ? 1 : 0 } }
    }
    const [beside = [], alone = []] = await lab.compete([contestant('beside'), contestant('alone')])
    const what = { bench: 'isolation', unit: 'p99 ms', better: 'less', figure: told('p99') } as const
    return [
      compare({ ...what, reach: { ratio: 0.91 } }, beside, [
        { name: 'without the backend that hangs', samples: alone },
      ]),
    ]
  },
}

/** Begins so many a second, however long each takes. */
async function atPace<T>(items: readonly T[], work: (item: T, i: number) => Promise<void>): Promise<void> {
  const began = performance.now()
  const working: Promise<void>[] = []
  for (const [i, item] of items.entries()) {
    const wait = began + (i * 1000) / PER_SECOND - performance.now()
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait))
    working.push(work(item, i))
  }
  await Promise.all(working)
}
