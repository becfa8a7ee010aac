import { join } from 'node:path'
import { openStore } from '@stored/node'
import type { Bench } from '../bench.ts'
import { inFlight, makeBlobs } from '../data.ts'
import { compare, percentile99, told } from '../figures.ts'
import { DISK, rootOf } from '../stores.ts'

const SIZE = 4096
const IN_FLIGHT = 64
const WARM_UP = 500
/** A backend that has nothing of what it is owed. */
const AWAY = 'away'
/** Of the limit, taken by blobs that can never leave: more than the high-water mark. */
const TAKEN = 0.76
/** Blobs that take it. */
const FILLERS = 64

export const putRelease: Bench = {
  name: 'put-release',
  about: `20,000 distinct random blobs of 4 KiB from memory, ${IN_FLIGHT} in flight, ${WARM_UP} before the clock starts, into a store that syncs to an fs
backend and owes the same copies to one that is paused. The figure is the time that 99 of 100 puts stay below, in ms. StoreD:
staging is above its high-water mark all the time, so that each blob is released as soon as the fs backend has it. The rival is
the same store with four times the limit, which releases nothing. Each round makes sure that it was so.`,

  sides: {
    async stored({ directory, params, start, stop }) {
      const [count, limit] = [Number(params.count), Number(params.limit)]
      const isReleasing = params.isReleasing === 1
      await using store = await openStore({
        path: join(directory, 'store'),
        backends: {
          [DISK]: { driver: 'fs', root: rootOf(directory) },
          [AWAY]: { driver: 'fs', root: join(directory, AWAY) },
        },
        staging: { limit: isReleasing ? limit : 4 * limit },
      })
      await store.pause(AWAY)
      const fillers = makeBlobs(FILLERS, Math.ceil((limit * TAKEN) / FILLERS), 'put-release fillers')
      await inFlight(2, fillers, (blob) => store.put(blob, { backends: [AWAY] }))
      const blobs = makeBlobs(WARM_UP + count, SIZE, 'put-release')
      await inFlight(IN_FLIGHT, blobs.slice(0, WARM_UP), (blob) => store.put(blob))
      const times: number[] = []
      await start()
      await inFlight(IN_FLIGHT, blobs.slice(WARM_UP), async (blob) => {
        const began = performance.now()
        await store.put(blob)
        times.push(performance.now() - began)
      })
      const { staging } = await store.status()
      const released = WARM_UP + count + FILLERS - staging.count
      if (released > 0 !== isReleasing) throw new Error(`${released} blobs were released`)
      await stop(count, { p99: percentile99(times) })
    },
  },

  async run(lab) {
    const count = lab.scaled(20_000, 2000)
    // Room for all of them: no put may wait.
    const limit = Math.ceil(((WARM_UP + count) * SIZE) / (1 - TAKEN) / 0.9)
    const contestant = (name: 'releasing' | 'quiet') => {
      return { name, side: 'stored', params: { count, limit, isReleasing: name === 'releasing' ? 1 : 0 } }
    }
    const [releasing = [], quiet = []] = await lab.compete([contestant('releasing'), contestant('quiet')])
    const what = { bench: 'put-release', unit: 'p99 ms', better: 'less', figure: told('p99') } as const
    return [compare({ ...what, reach: { ratio: 0.83 } }, releasing, [{ name: 'without releases', samples: quiet }])]
  },
}
