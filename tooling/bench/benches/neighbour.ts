import { join } from 'node:path'
import type { Bench } from '../bench.ts'
import { inFlight, keyStream, makeBlobs } from '../data.ts'
import { compare, median, percentile99, told } from '../figures.ts'
import { startNeighbour } from '../neighbour.ts'
import { openBenchStore } from '../stores.ts'

const SIZE = 4096
const IN_FLIGHT = 64
const WARM_UP = 200

/** Where the neighbour is at work. */
const PLACES = ['here', 'elsewhere', 'nowhere'] as const

export const neighbour: Bench = {
  name: 'neighbour',
  about: `Distinct random blobs of 4 KiB from memory, one at a time, ${WARM_UP} before the clock starts, while a second process puts others of that
size into the same store, ${IN_FLIGHT} in flight. The figures are the times that half of the puts, and 99 of 100, stay below. The first
rival has a neighbour that does the same in a store of its own: it takes as much of the machine, and shares nothing else. The
second has none.`,

  sides: {
    async single({ directory, params, start, stop }) {
      await using store = await openBenchStore(directory, false)
      const blobs = makeBlobs(WARM_UP + Number(params.count), SIZE, 'single')
      const place = params.where === 'elsewhere' ? join(directory, 'apart') : directory
      const beside = params.where === 'nowhere' ? null : await startNeighbour('neighbour', 'busy', place)
      const times: number[] = []
      for (const [i, blob] of blobs.entries()) {
        if (i === WARM_UP) await start()
        const began = performance.now()
        await store.put(blob)
        if (i >= WARM_UP) times.push(performance.now() - began)
      }
      await stop(times.length, { p50: median(times), p99: percentile99(times) })
      beside?.end()
    },

    async busy({ directory, start }) {
      await using store = await openBenchStore(directory, false)
      const next = keyStream('busy')
      const put = () => store.put(next(SIZE))
      await inFlight(IN_FLIGHT, Array.from({ length: 10 * IN_FLIGHT }), put)
      await start()
      await Promise.all(
        Array.from({ length: IN_FLIGHT }, async () => {
          while (true) await put()
        }),
      )
    },
  },

  async run(lab) {
    const count = lab.scaled(1000, 200)
    const [here = [], elsewhere = [], nowhere = []] = await lab.compete(
      PLACES.map((where) => ({ name: where, side: 'single', params: { count, where } })),
    )
    return ['p50', 'p99'].flatMap((name) => {
      const what = { bench: 'neighbour', unit: `${name} ms`, better: 'less', figure: told(name) } as const
      return [
        compare(what, here, [{ name: 'it works in another store', samples: elsewhere }]),
        compare(what, here, [{ name: 'without a neighbour', samples: nowhere }]),
      ]
    })
  },
}
