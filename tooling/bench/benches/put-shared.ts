import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { Bench } from '../bench.ts'
import { idOf, inFlight, makeBlobs } from '../data.ts'
import { compare, percentile99, rate, told } from '../figures.ts'
import { startNeighbour } from '../neighbour.ts'
import { openBenchStore } from '../stores.ts'

const SIZE = 4096
const IN_FLIGHT = 64
const WARM_UP = 500
/** What the neighbours read and list. */
const THERE = 2000

/** Reads a second, and lists a second, of neighbours that leave processors to others. */
const READS = 1000
const LISTS = 1

/** What the neighbours do. */
const NEIGHBOURS = {
  none: { where: 'nowhere' },
  paced: { where: 'here', isPaced: 1 },
  busy: { where: 'here', isPaced: 0 },
  apart: { where: 'elsewhere', isPaced: 0 },
} as const

export const putShared: Bench = {
  name: 'put-shared',
  about: `20,000 distinct random blobs of 4 KiB from memory, ${IN_FLIGHT} in flight, ${WARM_UP} before the clock starts, while a second process reads
${READS} blobs a second of the same store, and a third lists all ${THERE} and more of it every second. The rival is the same without them.
"p99" is the time that 99 of 100 puts stay below.
"Busy" neighbours read and list without a pause; three processes then share the processors, so the rival has neighbours that
do the same in a store of their own: they take as much of the machine, and share nothing else.`,

  sides: {
    async stored({ directory, params, start, stop }) {
      const count = Number(params.count)
      const blobs = makeBlobs(WARM_UP + count, SIZE, 'put-shared')
      const store = await fill(directory)
      const place = params.where === 'elsewhere' ? join(directory, 'apart') : directory
      if (place !== directory) await (await fill(place)).close()
      const sides = params.where === 'nowhere' ? [] : ['reader', 'lister']
      const neighbours = await Promise.all(sides.map((side) => startNeighbour('put-shared', side, place, params)))
      await inFlight(IN_FLIGHT, blobs.slice(0, WARM_UP), (blob) => store.put(blob))
      const times: number[] = []
      await start()
      await inFlight(IN_FLIGHT, blobs.slice(WARM_UP), async (blob) => {
        const began = performance.now()
        await store.put(blob)
        times.push(performance.now() - began)
      })
      await stop(count, { p99: percentile99(times) })
      for (const neighbour of neighbours) neighbour.end()
    },

    async reader({ directory, params, start }) {
      await using store = await openBenchStore(directory, false)
      const ids = there().map(idOf)
      await start()
      for (let i = 0; ; i++) {
        await store.get(ids[i % ids.length] as string)
        // In handfuls: no timer is as fine as one read.
        if (params.isPaced === 1 && i % 10 === 0) await setTimeout(10_000 / READS)
      }
    },

    async lister({ directory, params, start }) {
      await using store = await openBenchStore(directory, false)
      await start()
      while (true) {
        let listed = 0
        for await (const _ of store.list()) listed++
        if (listed < THERE) throw new Error(`${listed} of ${THERE} blobs were listed`)
        if (params.isPaced === 1) await setTimeout(1000 / LISTS)
      }
    },
  },

  async run(lab) {
    const count = lab.scaled(20_000, 2000)
    const contestant = (name: keyof typeof NEIGHBOURS) => {
      return { name, side: 'stored', params: { count, ...NEIGHBOURS[name] } }
    }
    const [paced = [], none = [], busy = [], apart = []] = await lab.compete(
      (['paced', 'none', 'busy', 'apart'] as const).map(contestant),
    )
    const what = { bench: 'put-shared', unit: 'puts/s', better: 'more', figure: rate } as const
    const p99 = { ...what, unit: 'p99 ms', better: 'less', figure: told('p99') } as const
    const [without, elsewhere] = [
      [{ name: 'without neighbours', samples: none }],
      [{ name: 'busy ones, in another store', samples: apart }],
    ]
    return [
      compare({ ...what, reach: { ratio: 0.8 } }, paced, without),
      compare(p99, paced, without),
      compare(what, busy, elsewhere),
      compare(p99, busy, elsewhere),
    ]
  },
}

function there(): Buffer[] {
  return makeBlobs(THERE, SIZE, 'put-shared, there before')
}

async function fill(directory: string) {
  const store = await openBenchStore(directory, false)
  await inFlight(IN_FLIGHT, there(), (blob) => store.put(blob))
  return store
}
