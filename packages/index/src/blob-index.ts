import {
  type BadState,
  type Binding,
  type BlobFacts,
  type BlobId,
  type BoundPlaces,
  type Cursor,
  doubted,
  type Index,
  type KeyGroup,
  type Leaving,
  type Location,
  type LocationFacts,
  type NewBinding,
  type Page,
  type PageOptions,
  type Place,
  type Rev,
  type SomePlace,
  type Standing,
  standingOf,
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
import {
  blobPartition,
  confirmedOf,
  confirmedSuffix,
  deletionKey,
  deletionOf,
  generationPrefix,
  groupName,
  groupOf,
  keyIn,
  mediumKey,
  placeOf,
  placeSuffix,
  tenureKey,
} from './keys.ts'

const NOTHING = Buffer.alloc(0)
/** Behind a key: sorts after all its rows, of which its binding is the first, and before those of the keys that begin with it. */
const BEHIND = Buffer.of(1)
/** Rows that are read at once. */
const PAGE = 500
/** Of the partition of a blob, its NUL and a tag. */
const HEAD_BYTES = 34

/** What is kept of a blob. */
interface FactsRow extends Omit<BlobFacts, 'id'> {
  /** How often it was put again while its deletion was at work: its keys are those of this generation. @default 0 */
  readonly generation?: number
  /** It was deleted; rows of its keys and places are left. */
  readonly deleting?: true
}

interface BindingRow extends Omit<NewBinding, 'key'> {
  readonly generation?: number
}

type LocationRow = Omit<LocationFacts, keyof Place> & {
  /** Of a synced copy: that of its backend when it was confirmed. Absent: the first. */
  readonly generation?: number
}

/** A row to be written as it was. */
export type Restored =
  | { readonly type: 'tenure'; readonly backend: string; readonly row: Tenure }
  | { readonly type: 'deletion'; readonly id: BlobId }
  | { readonly type: 'facts'; readonly id: BlobId; readonly row: FactsRow }
  | { readonly type: 'binding'; readonly key: string; readonly row: BindingRow }
  | { readonly type: 'location'; readonly place: Place; readonly row: LocationRow }

/**
 * The canonical truth, as tables of a ledger:
 *
 * - tree `blobs`, by id: `F` facts · `K` + group + key: a key bound to the blob, beside those that want the same; `G` + generation + group + key: one of a later generation · `L`, `N`,
 *   `O`, `P`, `Q` + place: a place that owes it, was confirmed (by generations: what is read as `unknown` stands in runs of its own), was
 *   found empty, holds something else, is being cleaned; tags side by side, so that all but the last are one range · `H` + place: a place that all keys share, unless it is being cleaned
 * - tree `keys`, by key: `B` binding, and what belongs to the key · `L` + backend: the row of a place
 * - tree `meta`: the medium and the tenure of each backend · the places whose copy is bad (`BadCopies`) · blobs whose deletion is at work
 *
 * Staging and queue keep rows of their own beside them, under other tags.
 */
export class BlobIndex implements Index {
  readonly ledger: TreeLedger
  readonly #facts: Table<FactsRow>
  readonly #keysOf: Table<null>
  readonly #laterKeysOf: Table<null>
  readonly #sharedOf: Table<null>
  readonly #placesOf: Readonly<Record<Exclude<Standing, 'former'>, Table<null>>>
  readonly #bindings: Table<BindingRow>
  readonly #locations: Table<LocationRow>
  readonly #bad: BadCopies

  constructor(ledger: TreeLedger) {
    this.ledger = ledger
    const ofBlob = (tag: string) => new Table<null>(ledger, 'blobs', tag)
    this.#facts = new Table(ledger, 'blobs', 'F')
    this.#keysOf = ofBlob('K')
    this.#laterKeysOf = ofBlob('G')
    this.#sharedOf = ofBlob('H')
    this.#placesOf = {
      owing: ofBlob('L'),
      synced: ofBlob('N'),
      missing: ofBlob('O'),
      wrong: ofBlob('P'),
      deleting: ofBlob('Q'),
    }
    this.#bindings = new Table(ledger, 'keys', 'B')
    this.#locations = new Table(ledger, 'keys', 'L')
    this.#bad = new BadCopies(ledger)
  }

  binding(view: View, key: string): Binding | null {
    const reader = readerOf(view)
    const row = this.#bindings.get(this.#bindings.key(Buffer.from(key)), reader)
    return row ? this.#binding(reader, key, row) : null
  }

  facts(view: View, id: BlobId): BlobFacts | null {
    return factsIn(id, this.#factsRow(id, readerOf(view))?.value)
  }

  version(view: View, id: BlobId): Rev | null {
    const reader = readerOf(view)
    const row = this.#factsRow(id, reader)
    if (!row) return null
    const tenures = tenuresOf(reader).map(([, { ticket }]) => ticket)
    return [row.ticket, ...tenures].join(' ') as Rev
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
    return this.#named(reader, this.#suffixes(reader, id, standing, o))
  }

  live(view: View, id: BlobId, o: { from?: Cursor | undefined; limit?: number } = {}): Page<Location> {
    const partition = blobPartition(id)
    const from = o.from ?? this.#placesOf.owing.key(partition)
    const to = after(this.#placesOf.wrong.key(partition))
    return this.#located(readerOf(view), { from, to, limit: o.limit })
  }

  shared(view: View, id: BlobId): Location[] {
    const first = this.#sharedOf.key(blobPartition(id))
    return this.#located(readerOf(view), { from: first, to: after(first) }).items
  }

  hasPlace(view: View, { id, standing, except = [] }: SomePlace): boolean {
    const excepted = new Set(except.map(nameOf))
    const suffixes = this.#suffixes(readerOf(view), id, standing, { limit: except.length + 1 })
    return suffixes.some((suffix) => !excepted.has(nameOf(placeOf(suffix))))
  }

  keys(view: View, id: BlobId, o: PageOptions<string> = {}): string[] {
    const reader = readerOf(view)
    const { limit = PAGE } = o
    const first = this.#keysOfBlob(id, this.#factsRow(id, reader)?.value.generation)
    const some = o.after === undefined ? reader.range('blobs', { from: first, to: after(first), limit }) : null
    const rows = some && some.length < limit ? some : this.#keysByGroup(reader, first, o)
    const keys = rows.map(([name]) => keyIn(name.subarray(first.length)))
    return keys.sort(Buffer.compare).slice(0, limit).map(String)
  }

  /** A page of the keys of each group: the first of all are among them. */
  #keysByGroup(reader: Reader, first: Buffer, { after: last, limit = PAGE }: PageOptions<string>): [Buffer, Buffer][] {
    return this.#groups(reader, first).flatMap((group) => {
      const head = Buffer.concat([first, group, Buffer.of(0)])
      const from = last === undefined ? head : Buffer.concat([head, Buffer.from(last), Buffer.of(0)])
      return reader.range('blobs', { from, to: after(head), limit })
    })
  }

  keyGroups(view: View, id: BlobId): KeyGroup[] {
    const reader = readerOf(view)
    const first = this.#keysOfBlob(id, this.#factsRow(id, reader)?.value.generation)
    return this.#groups(reader, first).map(groupOf)
  }

  isShared(view: View, o: { id: BlobId; backend: string; except?: readonly string[] }): boolean {
    const { id, backend, except = [] } = o
    const reader = readerOf(view)
    const first = this.#keysOfBlob(id, this.#factsRow(id, reader)?.value.generation)
    return this.#groups(reader, first).some((group) => {
      if (!groupOf(group).shared.includes(backend)) return false
      const head = Buffer.concat([first, group, Buffer.of(0)])
      const rows = reader.range('blobs', { from: head, to: after(head), limit: except.length + 1 })
      return rows.some(([name]) => !except.includes(name.toString('utf8', head.length)))
    })
  }

  /** Goes from group to group: each costs a row, however many keys it has. */
  #groups(reader: Reader, first: Buffer): Buffer[] {
    const groups: Buffer[] = []
    const to = after(first)
    for (let from = first; ; ) {
      const [head] = reader.range('blobs', { from, to, limit: 1 })
      if (!head) return groups
      const name = head[0].subarray(first.length)
      const group = name.subarray(0, name.indexOf(0))
      groups.push(group)
      from = Buffer.concat([first, group, BEHIND])
    }
  }

  bindings(view: View, o: WalkOptions): Page<BoundPlaces> {
    const reader = readerOf(view)
    const { rows, limit } = pageOf(reader, o)
    const generations = generationsOf(reader)
    const isEachLive = this.deletions(view, { limit: 1 }).length === 0
    const items: (Omit<Binding, 'facts'> & { locations: Location[] })[] = []
    for (const [rowKey, value] of rows) {
      const end = rowKey.indexOf(0)
      const isBinding = this.#bindings.holds(rowKey, end)
      if (!isBinding && !this.#locations.holds(rowKey, end)) continue
      const key = rowKey.toString('utf8', 0, end)
      const bound = items.at(-1)
      if (isBinding) {
        const row = this.#bindings.decode(value)
        if (isEachLive || this.#liveFacts(reader, row)) items.push({ ...bindingOf(key, row), locations: [] })
      } else if (bound?.key === key)
        bound.locations.push(
          locationOf({ backend: rowKey.toString('utf8', end + 2), key }, this.#locations.decode(value), generations),
        )
    }
    const last = rows.length < limit ? undefined : rows.at(-1)?.[0]
    if (!last) return { items, next: null }
    // It goes on behind that key, of which the page may not hold all rows.
    const cut = items.at(-1)
    if (cut) cut.locations = this.locationsAt(view, cut.key)
    return { items, next: Buffer.concat([last.subarray(0, last.indexOf(0)), BEHIND]) }
  }

  located(view: View, o: WalkOptions & { backend: string }): Page<Location> {
    const reader = readerOf(view)
    const { rows, limit } = pageOf(reader, o)
    const generations = generationsOf(reader)
    const items = rows.flatMap(([rowKey, value]) => {
      const end = rowKey.indexOf(0)
      if (this.#locations.suffix(rowKey, end)?.toString() !== o.backend) return []
      const place = { backend: o.backend, key: rowKey.toString('utf8', 0, end) }
      return locationOf(place, this.#locations.decode(value), generations)
    })
    return { items, next: nextOf(rows, limit) }
  }

  bad(view: View, o: { backend: string; state: BadState; limit: number }): string[] {
    return this.#bad.keys(readerOf(view), o)
  }

  medium(view: View, backend: string): string | null {
    return readerOf(view).get('meta', mediumKey(backend), decodeRow<string>)?.value ?? null
  }

  deletions(view: View, { limit }: { limit: number }): BlobId[] {
    const first = deletionKey('')
    return readerOf(view)
      .range('meta', { from: first, to: after(first), limit })
      .map(([key]) => deletionOf(key))
  }

  deletedKeys(view: View, id: BlobId, { limit }: { limit: number }): string[] {
    const reader = readerOf(view)
    const { generation = 0, deleting } = this.#factsRow(id, reader)?.value ?? {}
    const gone = deleting ? generation + 1 : generation
    if (gone === 0) return []
    const partition = blobPartition(id)
    const first = this.#keysOf.key(partition)
    const rows = reader.range('blobs', { from: first, to: after(first), limit })
    const keys = rows.map(([name]) => String(keyIn(name.subarray(first.length))))
    if (keys.length === limit) return keys
    const later = this.#laterKeysOf.key(partition, generationPrefix(1))
    const to = this.#laterKeysOf.key(partition, generationPrefix(gone))
    const others = reader.range('blobs', { from: later, to, limit: limit - keys.length })
    return [...keys, ...others.map(([name]) => String(keyIn(name.subarray(later.length))))]
  }

  tenure(view: View, backend: string): Tenure {
    return tenureOf(readerOf(view), backend)
  }

  leaving(view: View): string[] {
    return tenuresOf(readerOf(view)).flatMap(([backend, { value }]) => (value.leaving ? backend : []))
  }

  /** Reads the names of all places after a backend was removed. To be called as a store is opened. */
  async complete(signal?: AbortSignal): Promise<void> {
    await this.#bad.complete(
      () => this.#unsynced(signal),
      (view, place) => this.location(view, place),
    )
  }

  keep(tx: Transaction, { id, ...facts }: BlobFacts): void {
    const { generation = 0, deleting } = this.#factsRow(id, readerOf(tx))?.value ?? {}
    const next = deleting ? generation + 1 : generation
    this.#facts.put(tx, this.#facts.key(blobPartition(id)), { ...facts, ...(next > 0 && { generation: next }) })
  }

  forget(tx: Transaction, id: BlobId): void {
    const writer = writerOf(tx)
    const generation = this.#factsRow(id, writer)?.value.generation ?? 0
    const isAtWork = generation > 0 && writer.get('meta', deletionKey(id), () => true)
    if (isAtWork) this.beginDeletion(tx, id)
    else this.#facts.remove(tx, this.#facts.key(blobPartition(id)))
  }

  beginDeletion(tx: Transaction, id: BlobId): void {
    const writer = writerOf(tx)
    const row = this.#factsRow(id, writer)
    if (!row) return
    this.#facts.putNow(writer, this.#facts.key(blobPartition(id)), { ...row.value, deleting: true })
    writer.put('meta', deletionKey(id), encodeRow(null, writer.ticket))
  }

  endDeletion(tx: Transaction, id: BlobId): void {
    const writer = writerOf(tx)
    writer.remove('meta', deletionKey(id))
    if (this.#factsRow(id, writer)?.value.deleting) writer.remove('blobs', this.#facts.key(blobPartition(id)))
  }

  bind(tx: Transaction, { key, id, ...given }: NewBinding): void {
    const rowKey = this.#bindings.key(Buffer.from(key))
    const writer = writerOf(tx)
    const former = this.#bindings.get(rowKey, writer)?.value
    const generation = this.#factsRow(id, writer)?.value.generation ?? 0
    // Only these: it may have been read together with what is no part of the row.
    const { size, mimeType, created, modified, custom, wanted, owner } = given
    const row: BindingRow = {
      ...{ id, size, mimeType, created, modified, custom, wanted },
      ...(owner !== undefined && { owner }),
      ...(generation > 0 && { generation }),
    }
    const name = this.#keyOfBlob(key, row)
    const formerName = former && this.#keyOfBlob(key, former)
    if (formerName && !formerName.equals(name)) writer.remove('blobs', formerName)
    this.#bindings.putNow(writer, rowKey, row)
    writer.put('blobs', name, NOTHING)
  }

  unbind(tx: Transaction, key: string): void {
    const rowKey = this.#bindings.key(Buffer.from(key))
    const writer = writerOf(tx)
    const former = this.#bindings.get(rowKey, writer)?.value
    if (!former) return
    writer.remove('keys', rowKey)
    writer.remove('blobs', this.#keyOfBlob(key, former))
  }

  locate(tx: Transaction, { backend, key, ...location }: LocationFacts): void {
    const place = { backend, key }
    const rowKey = this.#locationKey(place)
    const writer = writerOf(tx)
    const former = this.#locations.get(rowKey, writer)
    const generation = location.state === 'synced' ? generationOf(writer, backend) : 0
    const value = { ...location, ...(generation > 0 && { generation }) }
    this.#locations.putNow(writer, rowKey, value)
    this.#mark(writer, place, former, { value, ticket: tx.ticket })
  }

  unlocate(tx: Transaction, place: Place): void {
    const rowKey = this.#locationKey(place)
    const writer = writerOf(tx)
    const former = this.#locations.get(rowKey, writer)
    if (!former) return
    writer.remove('keys', rowKey)
    this.#mark(writer, place, former, undefined)
  }

  /** Moves the rows by which a place is found beside its own. */
  #mark(writer: Writer, place: Place, from: Row<LocationRow> | undefined, to: Row<LocationRow> | undefined): void {
    const names = to ? this.#placeKeys(to.value, place) : []
    for (const name of from ? this.#placeKeys(from.value, place) : [])
      if (!names.some((kept) => kept.equals(name))) writer.remove('blobs', name)
    for (const name of names) writer.put('blobs', name, NOTHING)
    this.#bad.move(writer, place, stateOf(writer, place, from), stateOf(writer, place, to))
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

  /** Writes a row as a former format kept it, with the generation that it was written in. */
  restore(tx: Transaction, restored: Restored): void {
    const writer = writerOf(tx)
    if (restored.type === 'tenure') this.#setTenure(writer, restored.backend, restored.row)
    else if (restored.type === 'deletion') writer.put('meta', deletionKey(restored.id), encodeRow(null, writer.ticket))
    else if (restored.type === 'facts') this.#facts.put(tx, this.#facts.key(blobPartition(restored.id)), restored.row)
    else if (restored.type === 'binding') {
      const { key, row } = restored
      this.#bindings.put(tx, this.#bindings.key(Buffer.from(key)), row)
      writer.put('blobs', this.#keyOfBlob(key, row), NOTHING)
    } else {
      const { place, row } = restored
      this.#locations.put(tx, this.#locationKey(place), row)
      this.#mark(writer, place, undefined, { value: row, ticket: tx.ticket })
    }
  }

  #setTenure(writer: Writer, backend: string, tenure: Tenure): void {
    writer.put('meta', tenureKey(backend), encodeRow(tenure, writer.ticket))
  }

  #factsRow(id: BlobId, reader: Reader): Row<FactsRow> | undefined {
    return this.#facts.get(this.#facts.key(blobPartition(id)), reader)
  }

  #binding(reader: Reader, key: string, row: Row<BindingRow>): Binding {
    return { ...bindingOf(key, row), facts: this.#liveFacts(reader, row) }
  }

  /** Of the blob of a key; `null`: that was deleted, and the key with it. */
  #liveFacts(reader: Reader, { value: { id, generation = 0 } }: Row<BindingRow>): BlobFacts | null {
    const facts = this.#factsRow(id, reader)?.value
    return (facts?.generation ?? 0) === generation ? factsIn(id, facts) : null
  }

  /** The row of a key beside its blob. */
  #keyOfBlob(key: string, { id, generation, ...row }: BindingRow): Buffer {
    return Buffer.concat([this.#keysOfBlob(id, generation), Buffer.from(`${groupName(row)}\0${key}`)])
  }

  /** What begins the rows of all keys of a generation. */
  #keysOfBlob(id: BlobId, generation = 0): Buffer {
    const partition = blobPartition(id)
    return generation === 0
      ? this.#keysOf.key(partition)
      : this.#laterKeysOf.key(partition, generationPrefix(generation))
  }

  #placeKeys({ id, state, shared, generation = 0 }: LocationRow, place: Place): Buffer[] {
    const partition = blobPartition(id)
    const suffix = state === 'synced' ? confirmedSuffix(place, generation) : placeSuffix(place)
    const name = this.#placesOf[standingOf({ state })].key(partition, suffix)
    return shared && state !== 'deleting' ? [name, this.#sharedOf.key(partition, placeSuffix(place))] : [name]
  }

  #location({ backend, key }: Place, reader: Reader, generations = generationsOf(reader)): Location | null {
    const row = this.#locations.get(this.#locationKey({ backend, key }), reader)
    // Of what is given only these: whatever else it holds must not come to be written into the row.
    return row ? locationOf({ backend, key }, row, generations) : null
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

  /** A page of places that rows of their blob name. */
  #located(
    reader: Reader,
    { from, to, limit = PAGE }: { from: Uint8Array; to: Uint8Array; limit?: number | undefined },
  ): Page<Location> {
    const rows = reader.range('blobs', { from, to, limit })
    const suffixes = rows.map(([key]) => key.subarray(HEAD_BYTES))
    return { items: this.#named(reader, suffixes), next: nextOf(rows, limit) }
  }

  #named(reader: Reader, suffixes: readonly Buffer[]): Location[] {
    const generations = generationsOf(reader)
    return suffixes.flatMap((suffix) => this.#location(placeOf(suffix), reader, generations) ?? [])
  }

  async *#unsynced(signal: AbortSignal | undefined): AsyncGenerator<Place> {
    const tables = Object.values(this.#placesOf)
    for await (const page of pages(this.ledger, 'blobs', { from: NOTHING, to: END, signal })) {
      const generations = generationsOf(this.ledger)
      for (const [key] of page) {
        const table = tables.find((one) => one.suffix(key, HEAD_BYTES - 2) !== null)
        const place = table && confirmedOf(key.subarray(HEAD_BYTES))
        if (place && (table !== this.#placesOf.synced || place.generation !== generations(place.backend))) yield place
      }
    }
  }
}

/** A page of rows of the tree `keys`, whose partitions end at the first NUL. */
function pageOf(reader: Reader, o: WalkOptions): { rows: [Buffer, Buffer][]; limit: number } {
  const prefix = Buffer.from(o.prefix ?? '')
  const behind = o.after === undefined ? prefix : later(prefix, Buffer.concat([Buffer.from(o.after), BEHIND]))
  const { from = behind, limit = PAGE } = o
  return { rows: reader.range('keys', { from, to: prefix.length ? after(prefix) : END, limit }), limit }
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

/** Of each backend that was removed, or that somebody began to remove. */
function tenuresOf(reader: Reader): [backend: string, row: Row<Tenure>][] {
  const first = tenureKey('')
  const rows = reader.range('meta', { from: first, to: after(first) })
  return rows.map(([key, value]) => [key.toString('utf8', first.length), decodeRow(value)])
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

function nameOf(place: Place): string {
  return placeSuffix(place).toString()
}

/** What follows a common beginning in the keys of rows: a page. */
function suffixesOf(reader: Reader, first: Buffer, o: PageOptions<Buffer | undefined>): Buffer[] {
  const from = o.after === undefined ? first : Buffer.concat([first, o.after, Buffer.of(0)])
  const rows = reader.range('blobs', { from, to: after(first), limit: o.limit ?? PAGE })
  return rows.map(([key]) => key.subarray(first.length))
}

function bindingOf(key: string, row: Row<BindingRow>): Omit<Binding, 'facts'> {
  const { generation: _, ...binding } = row.value
  return { key, ...binding, version: revOf(row) }
}

function factsIn(id: BlobId, row: FactsRow | undefined): BlobFacts | null {
  if (!row || row.deleting) return null
  const { generation: _, ...facts } = row
  return { id, ...facts }
}

/** Where a walk goes on behind a page; `null`: it was not full. */
function nextOf(rows: readonly [Buffer, Buffer][], limit: number): Buffer | null {
  const last = rows.length < limit ? undefined : rows.at(-1)
  return last ? Buffer.concat([last[0], Buffer.of(0)]) : null
}

function later(a: Buffer, b: Buffer): Buffer {
  return Buffer.compare(a, b) < 0 ? b : a
}

function revOf(row: Row<unknown>): Rev {
  return String(row.ticket) as Rev
}
