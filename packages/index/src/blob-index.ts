import {
  type BadState,
  type Binding,
  type BlobFacts,
  type BlobId,
  type Index,
  type Location,
  type LocationFacts,
  owes,
  type Page,
  type PageOptions,
  type Place,
  type Rev,
  type SomePlace,
  type Standing,
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
import { blobPartition, mediumKey, placeOf, placeSuffix } from './keys.ts'

const NOTHING = Buffer.alloc(0)
/** Rows that are read at once. */
const PAGE = 500
/** Of the partitions of the tree `blobs`. */
const ID_BYTES = 32

/**
 * The canonical truth, as tables of a ledger:
 *
 * - tree `blobs`, by id: `F` facts · `K` + key: a key bound to the blob · `L`, `M`, `N` + place: a place that owes it, that neither owes
 *   nor holds it, that holds it; tags side by side, so that all of them are one range
 * - tree `keys`, by key: `B` binding · `L` + backend: the row of a place
 * - tree `meta`: the medium of each backend · the places whose copy is bad (`BadCopies`)
 *
 * Staging and queue keep rows of their own beside them, under other tags.
 */
export class BlobIndex implements Index {
  readonly ledger: TreeLedger
  readonly #facts: Table<Omit<BlobFacts, 'id'>>
  readonly #keysOf: Table<null>
  readonly #placesOf: Readonly<Record<Standing, Table<null>>>
  readonly #bindings: Table<{ id: BlobId }>
  readonly #locations: Table<Omit<LocationFacts, keyof Place>>
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
    const rows = readerOf(view).range('keys', { from: first, to: after(first) })
    return rows.map(([rowKey, value]) => {
      const row = this.#locations.decode(value)
      return { backend: rowKey.toString('utf8', first.length), key, ...row.value, rev: revOf(row) }
    })
  }

  locations(view: View, id: BlobId, standing: Standing, o: PageOptions<Place> = {}): Location[] {
    const reader = readerOf(view)
    const suffixes = suffixesOf(reader, this.#placesOf[standing].key(blobPartition(id)), {
      ...o,
      after: o.after && placeSuffix(o.after),
    })
    return suffixes.flatMap((suffix) => this.#location(placeOf(suffix), reader) ?? [])
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
    return this.#page(view, o, this.#locations, (key, suffix, row) =>
      suffix === o.backend ? { backend: suffix, key, ...row.value, rev: revOf(row) } : null,
    )
  }

  bad(view: View, o: { backend: string; state: BadState; limit: number }): string[] {
    return this.#bad.keys(readerOf(view), o)
  }

  medium(view: View, backend: string): string | null {
    return readerOf(view).get('meta', mediumKey(backend), decodeRow<string>)?.value ?? null
  }

  /**
   * Marks, once in the life of a store, copies that were bad before `bad` could tell: reads the names of all places, and the rows
   * of those that are not synced. To be called as a store is opened.
   */
  async completeBad(): Promise<void> {
    if (this.#bad.isComplete) return
    await this.#bad.complete(this.#unsynced(), (view, place) => this.location(view, place))
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
    const placeKey = this.#placeKey(location, place)
    const formerKey = former && this.#placeKey(former.value, place)
    if (formerKey && !formerKey.equals(placeKey)) writer.remove('blobs', formerKey)
    this.#locations.putNow(writer, rowKey, location)
    writer.put('blobs', placeKey, NOTHING)
    this.#bad.move(writer, place, former?.value.state, location.state)
  }

  unlocate(tx: Transaction, place: Place): void {
    const rowKey = this.#locationKey(place)
    const writer = writerOf(tx)
    const former = this.#locations.get(rowKey, writer)
    if (!former) return
    writer.remove('keys', rowKey)
    writer.remove('blobs', this.#placeKey(former.value, place))
    this.#bad.move(writer, place, former.value.state, undefined)
  }

  #dropKey(writer: Writer, id: BlobId, key: Buffer): void {
    writer.remove('blobs', this.#keysOf.key(blobPartition(id), key))
  }

  setMedium(tx: Transaction, backend: string, medium: string | null): void {
    const writer = writerOf(tx)
    if (medium === null) writer.remove('meta', mediumKey(backend))
    else writer.put('meta', mediumKey(backend), encodeRow(medium, writer.ticket))
  }

  #placeKey({ id, state }: Pick<LocationFacts, 'id' | 'state'>, place: Place): Buffer {
    return this.#placesOf[standingOf(state)].key(blobPartition(id), placeSuffix(place))
  }

  #location({ backend, key }: Place, reader: Reader): Location | null {
    const row = this.#locations.get(this.#locationKey({ backend, key }), reader)
    // Of what is given only these: whatever else it holds must not come to be written into the row.
    return row ? { backend, key, ...row.value, rev: revOf(row) } : null
  }

  #hasPlace({ id, standing, except = [] }: SomePlace, reader: Reader): boolean {
    const first = this.#placesOf[standing].key(blobPartition(id))
    const rows = reader.range('blobs', { from: first, to: after(first), limit: except.length + 1 })
    const excepted = except.map(placeSuffix)
    return rows.some(([key]) => !excepted.some((suffix) => suffix.equals(key.subarray(first.length))))
  }

  #locationKey({ backend, key }: Place): Buffer {
    return this.#locations.key(Buffer.from(key), Buffer.from(backend))
  }

  async *#unsynced(): AsyncGenerator<Place> {
    const tables = [this.#placesOf.owing, this.#placesOf.neither]
    for await (const page of pages(this.ledger, 'blobs', { from: NOTHING, to: END }))
      for (const [key] of page) {
        const suffix = tables.map((table) => table.suffix(key, ID_BYTES)).find((found) => found !== null)
        if (suffix) yield placeOf(suffix)
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

function standingOf(state: LocationFacts['state']): Standing {
  if (state === 'synced') return 'synced'
  return owes({ state }) ? 'owing' : 'neither'
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
