import { hash } from 'node:crypto'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Bench } from '../bench.ts'
import { inFlight, keyStream } from '../data.ts'
import { compare, memoryMib, told } from '../figures.ts'
import { mappedMemory } from '../procfs.ts'
import type { Subject } from '../side.ts'
import { openBenchStore } from '../stores.ts'

const SIZE = 4096
const IN_FLIGHT = 64
const COUNTS = [1000, 9000]
const MIB = 1024 * 1024

/** What V8 holds after a full collection, heap and buffers, in MiB. */
function held(): number {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  const { heapUsed, external } = process.memoryUsage()
  return (heapUsed + external) / MIB
}

/** What is done with the blobs, which are made as they are needed: whoever made them beforehand would hold all of them. */
interface Taker {
  put(blob: Buffer): Promise<unknown>
  end?(): Promise<unknown>
}

async function putAll({ params, start, stop }: Subject, { put, end }: Taker): Promise<void> {
  const next = keyStream('memory')
  const count = Number(params.count)
  const mapped = mappedMemory(process.pid) ?? Number.NaN
  await start()
  await inFlight(IN_FLIGHT, Array.from({ length: count }), () => put(next(SIZE)))
  await end?.()
  await stop(count, { held: held(), mapped: ((mappedMemory(process.pid) ?? Number.NaN) - mapped) / MIB })
}

export const memory: Bench = {
  name: 'memory',
  about: `${COUNTS.map((count) => count.toLocaleString('en')).join(' and ')} distinct blobs of 4 KiB, made as they are needed, ${IN_FLIGHT} puts in flight; without syncing, and with it until all is synced to a
folder. Peak: the highest anonymous memory of the process (RssAnon, looked at every 5 ms) above that of the open store. Held: what V8 holds
after the last put and a full collection, heap and buffers, also what it held before. Mapped: pages of files, LMDB's above all, that count as
the process's and are the page cache's (RssFile). The rival makes and hashes the same blobs, and keeps nothing.`,

  sides: {
    async stored(subject) {
      const isSyncing = subject.params.isSyncing === 1
      await using store = await openBenchStore(subject.directory, isSyncing)
      await putAll(subject, { put: (blob) => store.put(blob), ...(isSyncing && { end: () => store.synced() }) })
    },

    async hashed(subject) {
      await putAll(subject, { put: async (blob) => hash('sha256', blob) })
    },
  },

  async run(lab) {
    const comparisons = []
    for (const full of COUNTS) {
      const count = lab.scaled(full, IN_FLIGHT)
      const bench = `memory, ${count.toLocaleString('en')} puts`
      const [ours = [], syncing = [], hashed = []] = await lab.compete([
        { name: 'StoreD', side: 'stored', params: { count, isSyncing: 0 } },
        { name: 'StoreD, syncing', side: 'stored', params: { count, isSyncing: 1 } },
        { name: 'hashed', side: 'hashed', params: { count } },
      ])
      const against = [{ name: 'the same blobs, hashed', samples: hashed }]
      const peak = { better: 'less', unit: 'MiB at peak', figure: memoryMib, reach: { atMost: 64 } } as const
      comparisons.push(
        compare({ ...peak, bench }, ours, against),
        compare({ ...peak, bench: `${bench}, syncing` }, syncing, against),
        compare({ bench, better: 'less', unit: 'MiB held', figure: told('held') }, ours, against),
        compare({ bench, better: 'less', unit: 'MiB mapped', figure: told('mapped') }, ours, against),
      )
    }
    return comparisons
  },
}
