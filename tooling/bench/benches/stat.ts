import { join } from 'node:path'
import { after, scan, Table } from '@stored/ledger'
import { LmdbLedger } from '@stored/lmdb'
import type { Bench } from '../bench.ts'
import { idOf, inFlight, makeBlobs, shuffled } from '../data.ts'
import { compare, rate } from '../figures.ts'
import type { Side } from '../side.ts'
import { openBenchStore } from '../stores.ts'

const IN_FLIGHT = 64
const WARM_UP = 2000
const PASSES = 5

type By = 'id' | 'key'

/** What is asked for, in the order in which it is asked. */
function namesOf({ count, by }: { readonly count?: number; readonly by?: By }): { warmUp: string[]; names: string[] } {
  const blobs = makeBlobs(WARM_UP + Number(count), 16, 'stat')
  const all = shuffled(by === 'id' ? blobs.map(idOf) : blobs.map((_, i) => keyOf(i)), 'order')
  const once = all.slice(WARM_UP)
  return { warmUp: all.slice(0, WARM_UP), names: Array.from({ length: PASSES }, () => once).flat() }
}

function keyOf(i: number): string {
  return `photos/${String(i % 100).padStart(2, '0')}/${i}.jpeg`
}

export const stat: Bench = {
  name: 'stat',
  about: `The records of 20,000 blobs with one backend each, in a shuffled order, ${PASSES} times, 64 in flight, from a warm page cache,
after ${WARM_UP} of others. StoreD: stat(id), stat(key). The rival reads the same rows of the same LMDB environment (facts and
location; by key the binding first), checks their CRC and parses them, with the same reading call and nothing around it.`,

  sides: {
    async fill({ directory, params }) {
      await using store = await openBenchStore(directory, false)
      const blobs = makeBlobs(WARM_UP + Number(params.count), 16, 'stat').entries()
      await inFlight(IN_FLIGHT, [...blobs], ([i, blob]) => store.put(blob, { key: keyOf(i) }))
    },

    async stored({ directory, params, start, stop }) {
      const { warmUp, names } = namesOf(params as { count: number; by: By })
      const store = await openBenchStore(directory, false)
      const ask = async (name: string): Promise<void> => {
        if (!(await store.stat(name))) throw new Error(`nothing known of ${name}`)
      }
      await inFlight(IN_FLIGHT, warmUp, ask)
      await start()
      await inFlight(IN_FLIGHT, names, ask)
      await stop(names.length)
      await store.close()
    },

    rows: (async ({ directory, params, start, stop }) => {
      const { warmUp, names } = namesOf(params as { count: number; by: By })
      const ledger = await LmdbLedger.open({ path: join(directory, 'store') })
      const rows = new Rows(ledger)
      const ask = async (name: string) => (params.by === 'id' ? rows.ofId(name) : rows.ofKey(name))
      await inFlight(IN_FLIGHT, warmUp, ask)
      await start()
      await inFlight(IN_FLIGHT, names, ask)
      await stop(names.length)
      await ledger.close()
    }) satisfies Side,
  },

  async run(lab) {
    const directory = lab.makeDirectory()
    const count = lab.scaled(20_000, IN_FLIGHT)
    await lab.prepare('fill', directory, { count })
    const sides = (['id', 'key'] as const).flatMap((by) =>
      (['stored', 'rows'] as const).map((side) => ({
        name: `${side} by ${by}`,
        side,
        params: { count, by },
        directory,
      })),
    )
    const [byId = [], rowsById = [], byKey = [], rowsByKey = []] = await lab.compete(sides)
    const what = { unit: 'records/s', better: 'more', figure: rate, reach: { ratio: 0.5 } } as const
    const name = 'the same rows, decoded'
    return [
      compare({ ...what, bench: 'stat by id' }, byId, [{ name, samples: rowsById }]),
      compare({ ...what, bench: 'stat by key' }, byKey, [{ name, samples: rowsByKey }]),
    ]
  },
}

/** The rows behind a record, as @stored/index lays them out. */
class Rows {
  readonly #ledger: LmdbLedger
  readonly #facts: Table<unknown>
  readonly #places: Table<unknown>
  readonly #bindings: Table<{ id: string }>
  readonly #locations: Table<unknown>

  constructor(ledger: LmdbLedger) {
    this.#ledger = ledger
    this.#facts = new Table(ledger, 'blobs', 'F')
    this.#places = new Table(ledger, 'blobs', 'L')
    this.#bindings = new Table(ledger, 'keys', 'B')
    this.#locations = new Table(ledger, 'keys', 'L')
  }

  ofKey(key: string): unknown[] {
    const bound = this.#bindings.get(this.#bindings.key(Buffer.from(key)), this.#ledger)
    if (!bound) throw new Error(`no row of ${key}`)
    return [bound, ...this.ofId(bound.value.id)]
  }

  ofId(id: string): unknown[] {
    const partition = Buffer.from(id.slice('sha256:'.length), 'hex')
    const facts = this.#facts.get(this.#facts.key(partition), this.#ledger)
    if (!facts) throw new Error(`no row of ${id}`)
    const first = this.#places.key(partition)
    const locations = [...scan(this.#ledger, 'blobs', first, after(first))].map(([key]) => {
      const suffix = key.subarray(first.length)
      const end = suffix.indexOf(0)
      const place = this.#locations.key(suffix.subarray(end + 1), suffix.subarray(0, end))
      return this.#locations.get(place, this.#ledger)
    })
    return [facts, ...locations]
  }
}
