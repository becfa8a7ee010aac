import {
  type BadState,
  type Binding,
  type BlobFacts,
  type BlobId,
  doubted,
  type Index,
  type Leaving,
  type Location,
  type LocationFacts,
  owes,
  type Page,
  type PageOptions,
  type Place,
  type Rev,
  type SomePlace,
  type Standing,
  type Tenure,
  type Transaction,
  type View,
  type WalkOptions,
} from '@stored/core'
import {
  after,
  decodeRow,
  END,
  encodeRow,
  pages,
  type Reader,
  type Row,
  readerOf,
  Table,
  type TreeLedger,
  type Writer,
  writerOf,
} from '@stored/ledger'
import { BadCopies } from './bad-copies.ts'
import { blobPartition, confirmedOf, confirmedSuffix, mediumKey, placeOf, placeSuffix, tenureKey } from './keys.ts'

const NOTHING = Buffer.alloc(0)
/** Rows that are read at once. */
const PAGE = 500
/** Of the partitions of the tree `blobs`. */
const ID_BYTES = 32

/**
 * The canonical truth, as tables of a ledger:
 *
 * - tree `blobs`, by id: `F` facts · `K` + key: a key bound to the blob · `L`, `M`, `N` + place: a place that owes it, that neither owes
 *   nor holds it, where it was confirmed (by generations: what is read as `unknown` stands in runs of its own); tags side by side, so that all
 *   of them are one range
 * - tree `keys`, by key: `B` binding · `L` + backend: the row of a place
 * - tree `meta`: the medium and the tenure of each backend · the places whose copy is bad (`BadCopies`)
 *
 * Staging and queue keep rows of their own beside them, under other tags.
 */
export class BlobIndex implements Index {
  readonly ledger: TreeLedger
  readonly #facts: Table<Omit<BlobFacts, 'id'>>
  readonly #keysOf: Table<null>
  readonly #placesOf: Readonly<Record<Exclude<Standing, 'former'>, Table<null>>>
  readonly #bindings: Table<{ id: BlobId }>
  readonly #locations: Table<LocationRow>
  readonly #bad: BadCopies

  constructor(ledger: TreeLedger) {
    this.ledger = ledger
    this.#facts = new Table(ledger, 'blobs', 'F')
    this.#keysOf = new Table(ledger, 'blobs', 'K')
    this.#placesOf = {
      owing: new Table(ledger, 'blobs', 'L'),
      neither: new Table(ledger, 'blobs', 'M'),
      synced: new Table(ledger, 'blobs', 'N'),
    }
    this.#bindings = new Table(ledger, 'keys', 'B')
    this.#locations = new Table(ledger, 'keys', 'L')
    this.#bad = new BadCopies(ledger)
  }

  binding(view: View, key: string): Binding | null {
    const row = this.#bindings.get(this.#bindings.key(Buffer.from(key)), readerOf(view))
    return row ? { key, id: row.value.id, rev: revOf(row) } : null
  }

  facts(view: View, id: BlobId): BlobFacts | null {
    const row = this.#facts.get(this.#facts.key(blobPartition(id)), readerOf(view))
    return row ? { id, ...row.value } : null
  }

  location(view: View, place: Place): Location | null {
    return this.#location(place, readerOf(view))
  }

  locationsAt(view: View, key: string): Location[] {
    const first = this.#locations.key(Buffer.from(key))
    const reader = readerOf(view)
    const rows = reader.range('keys', { from: first, to: after(first) })
    return rows.map(([rowKey, value]) => {
      const backend = rowKey.toString('utf8', first.length)
      return locationOf({ backend, key }, this.#locations.decode(value), () => generationOf(reader, backend))
    })
  }

  locations(view: View, id: BlobId, standing: Standing, o: PageOptions<Place> = {}): Location[] {
    const reader = readerOf(view)
    const suffixes = this.#suffixes(reader, id, standing, o)
    const generations = generationsOf(reader)
    return suffixes.flatMap((suffix) => this.#location(placeOf(suffix), reader, generations) ?? [])
  }

  places(view: View, id: BlobId, { limit }: { limit: number }): Place[] {
    const first = this.#placesOf.owing.key(blobPartition(id))
    const to = after(this.#placesOf.synced.key(blobPartition(id)))
    const rows = readerOf(view).range('blobs', { from: first, to, limit })
    return rows.map(([key]) => placeOf(key.subarray(first.length)))
  }

  hasPlace(view: View, some: SomePlace): boolean {
    return this.#hasPlace(some, readerOf(view))
  }

  keys(view: View, id: BlobId, o: PageOptions<string> = {}): string[] {
    const first = this.#keysOf.key(blobPartition(id))
    const suffixes = suffixesOf(readerOf(view), first, {
      ...o,
      after: o.after === undefined ? undefined : Buffer.from(o.after),
    })
    return suffixes.map(String)
  }

  bindings(view: View, o: WalkOptions): Page<Binding> {
    return this.#page(view, o, this.#bindings, (key, suffix, row) =>
      suffix === '' ? { key, id: row.value.id, rev: revOf(row) } : null,
    )
  }

  located(view: View, o: WalkOptions & { backend: string }): Page<Location> {
    const generations = generationsOf(readerOf(view))
    return this.#page(view, o, this.#locations, (key, backend, row) =>
      backend === o.backend ? locationOf({ backend, key }, row, generations) : null,
    )
  }

  bad(view: View, o: { backend: string; state: BadState; limit: number }): string[] {
    return this.#bad.keys(readerOf(view), o)
  }

  medium(view: View, backend: string): string | null {
    return readerOf(view).get('meta', mediumKey(backend), decodeRow<string>)?.value ?? null
  }

  tenure(view: View, backend: string): Tenure {
    return tenureOf(readerOf(view), backend)
  }

  leaving(view: View): string[] {
    const first = tenureKey('')
    const rows = readerOf(view).range('meta', { from: first, to: after(first) })
    return rows.flatMap(([key, value]) =>
      decodeRow<Tenure>(value).value.leaving ? key.toString('utf8', first.length) : [],
    )
  }

  /** Reads the names of all places, and the rows of those that are not synced. To be called as a store is opened. */
  completeBad(): Promise<void> {
    return this.#bad.complete(
      () => this.#unsynced(),
      (view, place) => this.location(view, place),
    )
  }

  keep(tx: Transaction, { id, ...facts }: BlobFacts): void {
    this.#facts.put(tx, this.#facts.key(blobPartition(id)), facts)
  }

  forget(tx: Transaction, id: BlobId): void {
    this.#facts.remove(tx, this.#facts.key(blobPartition(id)))
  }

  bind(tx: Transaction, key: string, id: BlobId): void {
    const name = Buffer.from(key)
    const rowKey = this.#bindings.key(name)
    const writer = writerOf(tx)
    const former = this.#bindings.get(rowKey, writer)
    if (former && former.value.id !== id) this.#dropKey(writer, former.value.id, name)
    this.#bindings.putNow(writer, rowKey, { id })
    writer.put('blobs', this.#keysOf.key(blobPartition(id), name), NOTHING)
  }

  unbind(tx: Transaction, key: string): void {
    const name = Buffer.from(key)
    const rowKey = this.#bindings.key(name)
    const writer = writerOf(tx)
    const former = this.#bindings.get(rowKey, writer)
    if (!former) return
    writer.remove('keys', rowKey)
    this.#dropKey(writer, former.value.id, name)
  }

  locate(tx: Transaction, { backend, key, ...location }: LocationFacts): void {
    const place = { backend, key }
    const rowKey = this.#locationKey(place)
    const writer = writerOf(tx)
    const former = this.#locations.get(rowKey, writer)
    const generation = location.state === 'synced' ? generationOf(writer, backend) : 0
    const row = { ...location, ...(generation > 0 && { generation }) }
    const placeKey = this.#placeKey(row, place)
    const formerKey = former && this.#placeKey(former.value, place)
    if (formerKey && !formerKey.equals(placeKey)) writer.remove('blobs', formerKey)
    this.#locations.putNow(writer, rowKey, row)
    writer.put('blobs', placeKey, NOTHING)
    this.#bad.move(writer, place, stateOf(writer, place, former), location.state)
  }

  unlocate(tx: Transaction, place: Place): void {
    const rowKey = this.#locationKey(place)
    const writer = writerOf(tx)
    const former = this.#locations.get(rowKey, writer)
    if (!former) return
    writer.remove('keys', rowKey)
    writer.remove('blobs', this.#placeKey(former.value, place))
    this.#bad.move(writer, place, stateOf(writer, place, former), undefined)
  }

  #dropKey(writer: Writer, id: BlobId, key: Buffer): void {
    writer.remove('blobs', this.#keysOf.key(blobPartition(id), key))
  }

  setMedium(tx: Transaction, backend: string, medium: string): void {
    const writer = writerOf(tx)
    writer.put('meta', mediumKey(backend), encodeRow(medium, writer.ticket))
  }

  setLeaving(tx: Transaction, backend: string, leaving: Leaving | null): void {
    const writer = writerOf(tx)
    const { generation } = tenureOf(writer, backend)
    this.#setTenure(writer, backend, { generation, ...(leaving && { leaving }) })
  }

  endTenure(tx: Transaction, backend: string): void {
    const writer = writerOf(tx)
    this.#setTenure(writer, backend, { generation: generationOf(writer, backend) + 1 })
    writer.remove('meta', mediumKey(backend))
    this.#bad.beIncomplete(writer)
  }

  #setTenure(writer: Writer, backend: string, tenure: Tenure): void {
    writer.put('meta', tenureKey(backend), encodeRow(tenure, writer.ticket))
  }

  #placeKey({ id, state, generation = 0 }: Pick<LocationRow, 'id' | 'state' | 'generation'>, place: Place): Buffer {
    const suffix = state === 'synced' ? confirmedSuffix(place, generation) : placeSuffix(place)
    return this.#placesOf[tableOf(state)].key(blobPartition(id), suffix)
  }

  #location({ backend, key }: Place, reader: Reader, generations = generationsOf(reader)): Location | null {
    const row = this.#locations.get(this.#locationKey({ backend, key }), reader)
    // Of what is given only these: whatever else it holds must not come to be written into the row.
    return row ? locationOf({ backend, key }, row, generations) : null
  }

  #hasPlace({ id, standing, except = [] }: SomePlace, reader: Reader): boolean {
    const excepted = new Set(except.map(nameOf))
    const suffixes = this.#suffixes(reader, id, standing, { limit: except.length + 1 })
    return suffixes.some((suffix) => !excepted.has(nameOf(placeOf(suffix))))
  }

  /** Of the places of a blob that stand so, a page. */
  #suffixes(reader: Reader, id: BlobId, standing: Standing, o: PageOptions<Place>): Buffer[] {
    if (standing === 'synced' || standing === 'former') return this.#confirmed(reader, id, standing, o)
    const first = this.#placesOf[standing].key(blobPartition(id))
    return suffixesOf(reader, first, { ...o, after: o.after && placeSuffix(o.after) })
  }

  /** Goes from run to run, each the places of one generation of a backend: runs that stand otherwise cost a row each, however long. */
  #confirmed(reader: Reader, id: BlobId, standing: 'synced' | 'former', o: PageOptions<Place>): Buffer[] {
    const { limit = PAGE } = o
    const first = this.#placesOf.synced.key(blobPartition(id))
    const to = after(first)
    const generations = generationsOf(reader)
    const found: Buffer[] = []
    let from = o.after ? Buffer.concat([first, this.#suffixBehind(reader, o.after, standing), Buffer.of(0)]) : first
    while (found.length < limit) {
      const [head] = reader.range('blobs', { from, to, limit: 1 })
      if (!head) break
      const { backend, generation } = confirmedOf(head[0].subarray(first.length))
      const end = after(Buffer.concat([first, confirmedSuffix({ backend, key: '' }, generation)]))
      if ((generation === generations(backend)) === (standing === 'synced')) {
        const rows = reader.range('blobs', { from, to: end, limit: limit - found.length })
        found.push(...rows.map(([key]) => key.subarray(first.length)))
      }
      from = end
    }
    return found
  }

  /** Where a page ended. A name that no place has stands for all places of its backend. */
  #suffixBehind(reader: Reader, place: Place, standing: 'synced' | 'former'): Buffer {
    if (standing === 'synced') return confirmedSuffix(place, generationOf(reader, place.backend))
    return confirmedSuffix(place, this.#locations.get(this.#locationKey(place), reader)?.value.generation ?? 0)
  }

  #locationKey({ backend, key }: Place): Buffer {
    return this.#locations.key(Buffer.from(key), Buffer.from(backend))
  }

  async *#unsynced(): AsyncGenerator<Place> {
    const tables = Object.values(this.#placesOf)
    for await (const page of pages(this.ledger, 'blobs', { from: NOTHING, to: END })) {
      const generations = generationsOf(this.ledger)
      for (const [key] of page) {
        const table = tables.find((one) => one.suffix(key, ID_BYTES) !== null)
        const place = table && confirmedOf(key.subarray(ID_BYTES + 2))
        if (place && (table !== this.#placesOf.synced || place.generation !== generations(place.backend))) yield place
      }
    }
  }

  /** A page of rows of one table of the tree `keys`, whose partitions end at the first NUL. */
  #page<T, Item>(
    view: View,
    o: WalkOptions,
    table: Table<T>,
    itemOf: (key: string, suffix: string, row: Row<T>) => Item | null,
  ): Page<Item> {
    const prefix = Buffer.from(o.prefix ?? '')
    const behind = o.after === undefined ? prefix : later(prefix, Buffer.concat([Buffer.from(o.after), Buffer.of(1)]))
    const from = o.from ?? behind
    const limit = o.limit ?? PAGE
    const rows = readerOf(view).range('keys', { from, to: prefix.length ? after(prefix) : END, limit })
    const items = rows.flatMap(([key, value]) => {
      const end = key.indexOf(0)
      const suffix = table.suffix(key, end)
      const item = suffix && itemOf(key.toString('utf8', 0, end), suffix.toString(), table.decode(value))
      return item ?? []
    })
    const last = rows.length < limit ? undefined : rows.at(-1)
    return { items, next: last ? Buffer.concat([last[0], Buffer.of(0)]) : null }
  }
}

type LocationRow = Omit<LocationFacts, keyof Place> & {
  /** Of a synced copy: that of its backend when it was confirmed. Absent: the first. */
  readonly generation?: number
}

/** The one place where it is decided how a row is read: a copy of a backend that was removed since counts for nothing until it is verified. */
function locationOf(place: Place, row: Row<LocationRow>, generationOf: (backend: string) => number): Location {
  const { generation = 0, ...facts } = row.value
  const location = { ...place, ...facts }
  const isFormer = facts.state === 'synced' && generation !== generationOf(place.backend)
  return { ...(isFormer ? doubted(location) : location), rev: revOf(row) }
}

function stateOf(reader: Reader, place: Place, row: Row<LocationRow> | undefined): LocationFacts['state'] | undefined {
  return row && locationOf(place, row, (backend) => generationOf(reader, backend)).state
}

function tenureOf(reader: Reader, backend: string): Tenure {
  return reader.get('meta', tenureKey(backend), decodeRow<Tenure>)?.value ?? { generation: 0 }
}

function generationOf(reader: Reader, backend: string): number {
  return tenureOf(reader, backend).generation
}

/** The same, for several rows of one moment: each backend is read once. */
function generationsOf(reader: Reader): (backend: string) => number {
  const known = new Map<string, number>()
  return (backend) => {
    const generation = known.get(backend) ?? generationOf(reader, backend)
    known.set(backend, generation)
    return generation
  }
}

function tableOf(state: LocationFacts['state']): Exclude<Standing, 'former'> {
  if (state === 'synced') return 'synced'
  return owes({ state }) ? 'owing' : 'neither'
}

function nameOf(place: Place): string {
  return placeSuffix(place).toString()
}

/** What follows a common beginning in the keys of rows: a page. */
function suffixesOf(reader: Reader, first: Buffer, o: PageOptions<Buffer | undefined>): Buffer[] {
  const from = o.after === undefined ? first : Buffer.concat([first, o.after, Buffer.of(0)])
  const rows = reader.range('blobs', { from, to: after(first), limit: o.limit ?? PAGE })
  return rows.map(([key]) => key.subarray(first.length))
}

function later(a: Buffer, b: Buffer): Buffer {
  return Buffer.compare(a, b) < 0 ? b : a
}

function revOf(row: Row<unknown>): Rev {
  return String(row.ticket) as Rev
}
