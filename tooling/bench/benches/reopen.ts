import type { Bench } from '../bench.ts'
import { idOf, inFlight } from '../data.ts'
import { compare, medianOf, memoryMib, seconds } from '../figures.ts'
import type { Contestant } from '../lab.ts'
import { openBenchStore } from '../stores.ts'

const FILLING = 1024
const FEW = 10
const LEAST_ROUNDS = 9
/** Jobs that may be done in the time that a round takes. */
const SPARE = 1000

function blobOf(i: number): Buffer {
  return Buffer.from(`job ${i}`)
}

export const reopen: Bench = {
  name: 'reopen',
  about: `Opening a store that owes 1,000,000 copies to its fs backend, until the first job is claimed and started and a first blob is
read; against the same with ${FEW} copies. Filled beforehand by put() of small distinct blobs without syncing; opened in a new process,
modules loaded, files in the page cache, and closed in order each time. Memory: highest RssAnon while measured, less that
before opening.`,

  sides: {
    async fill({ directory, params }) {
      await using store = await openBenchStore(directory, false)
      const numbers = Array.from({ length: Number(params.count) }, (_, i) => i)
      await inFlight(FILLING, numbers, (i) => store.put(blobOf(i)))
    },

    async open({ directory, params, start, stop }) {
      const asked = idOf(blobOf(Number(params.asked)))
      await start()
      const store = await openBenchStore(directory, true)
      await new Promise<void>((resolve) => store.on('sync:start', () => resolve()))
      await store.get(asked)
      await stop(1)
      await store.close()
    },
  },

  async run(lab) {
    const large = lab.makeDirectory()
    const many = lab.scaled(1_000_000, SPARE)
    await lab.prepare('fill', large, { count: many + SPARE * lab.rounds(LEAST_ROUNDS) })
    const contestants: Contestant[] = [
      // The first are done by the time the last round opens the store.
      { name: 'StoreD', side: 'open', params: { asked: many + SPARE - 1 }, directory: large },
      {
        name: `${FEW} jobs`,
        side: 'open',
        params: { asked: FEW - 1 },
        before: (directory) => lab.prepare('fill', directory, { count: FEW }),
      },
    ]
    const [ours = [], few = []] = await lab.compete(contestants, LEAST_ROUNDS)
    const against = [{ name: `the same with ${FEW} jobs`, samples: few }]
    const bench = 'reopen'
    const results = [
      compare({ bench, unit: 's', better: 'less', figure: seconds, reach: { ratio: 0.67 } }, ours, against),
    ]
    if (medianOf(ours, memoryMib) !== null)
      results.push(
        compare(
          { bench, unit: 'MiB memory', better: 'less', figure: memoryMib, reach: { atMostMore: 50 } },
          ours,
          against,
        ),
      )
    return results
  },
}
