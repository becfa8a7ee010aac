import { createReadStream, createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Bench } from '../bench.ts'
import { inFlight, makeBlobs } from '../data.ts'
import { compare, microsecondsPer, rate, told } from '../figures.ts'
import { type BenchStore, openBenchStore } from '../stores.ts'
import { watchTurns } from '../turns.ts'

const SIZE = 64
const IN_FLIGHT = 256
/** What may hold the event loop, in ms. */
const LONGEST_TURN = 10

const WALKS = {
  list: (store: BenchStore) => store.list(),
  jobs: (store: BenchStore) => store.jobs(),
  events: (store: BenchStore) => store.events(),
} as const
type Walk = keyof typeof WALKS
const NAMES = Object.keys(WALKS) as Walk[]

export const walks: Bench = {
  name: 'walks',
  about: `All of list(), jobs() and events() in a store with 100,000 keys, each bound to a blob of its own and owing one copy, after a first walk
that warms up. The rival reads what they yielded from a file of JSON, a line each, by node:readline, and parses it. During the first
walk every turn of the event loop is watched: the figure is the longest, in ms of the thread's processor time, and its rival is the
longest of reading the file.`,

  sides: {
    async fill({ directory, params }) {
      await using store = await openBenchStore(directory, false)
      const blobs = makeBlobs(Number(params.count), SIZE, 'walks')
      await inFlight(IN_FLIGHT, [...blobs.entries()], ([i, blob]) =>
        store.put(blob, { key: `photos/${i % 100}/${i}.jpeg` }),
      )
      for (const name of NAMES) await pipeline(lines(WALKS[name](store)), createWriteStream(fileOf(directory, name)))
    },

    async stored({ directory, params, start, stop }) {
      await using store = await openBenchStore(directory, false)
      const walk = WALKS[params.walk as Walk]
      const turn = await longestTurn(() => walk(store), Number(params.count))
      await start()
      await stop(await count(walk(store)), { turn })
    },

    async file({ directory, params, start, stop }) {
      const walk = () => records(fileOf(directory, params.walk as Walk))
      const turn = await longestTurn(walk, Number(params.count))
      await start()
      await stop(await count(walk()), { turn })
    },
  },

  async run(lab) {
    const directory = lab.makeDirectory()
    const count = lab.scaled(100_000, 1000)
    await lab.prepare('fill', directory, { count })
    const samples = await lab.compete(
      NAMES.flatMap((walk) =>
        ['stored', 'file'].map((side) => ({
          name: `${side}: ${walk}`,
          side,
          params: { count, walk },
          directory,
          isForeign: side === 'file',
        })),
      ),
    )
    return NAMES.flatMap((walk, i) => {
      const [ours = [], file = []] = samples.slice(2 * i)
      const rivals = [{ name: 'a file of JSON lines', samples: file }]
      const bench = `walks, ${walk}`
      return [
        compare({ bench, unit: 'rows/s', better: 'more', figure: rate }, ours, rivals),
        compare({ bench, unit: 'processor µs/row', better: 'less', figure: microsecondsPer }, ours, rivals),
        compare(
          { bench, unit: 'ms, longest turn', better: 'less', figure: told('turn'), reach: { atMost: LONGEST_TURN } },
          ours,
          rivals,
        ),
      ]
    })
  },
}

async function longestTurn(walk: () => AsyncIterable<unknown>, least: number): Promise<number> {
  const longest = watchTurns()
  const walked = await count(walk())
  longest.stop()
  if (walked < least) throw new Error(`${walked} of ${least} were walked`)
  return longest.milliseconds
}

async function count(items: AsyncIterable<unknown>): Promise<number> {
  let counted = 0
  for await (const _ of items) counted++
  return counted
}

function fileOf(directory: string, walk: Walk): string {
  return join(directory, `${walk}.jsonl`)
}

function lines(items: AsyncIterable<unknown>): Readable {
  return Readable.from(
    (async function* () {
      for await (const item of items) yield `${JSON.stringify(item)}\n`
    })(),
  )
}

async function* records(file: string): AsyncGenerator<unknown> {
  for await (const line of createInterface({ input: createReadStream(file) })) yield JSON.parse(line)
}
