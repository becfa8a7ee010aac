import type {
  Binding,
  BlobFacts,
  BlobId,
  Index,
  Known,
  Location,
  LocationFacts,
  Place,
  Rev,
  Transaction,
} from '@stored/core'
import {
  after,
  decodeRow,
  END,
  encodeRow,
  guard,
  type Reader,
  type Row,
  scan,
  Table,
  type TreeLedger,
  type Writer,
  write,
} from '@stored/lmdb'
import { blobPartition, mediumKey, placeOf, placeSuffix } from './keys.ts'

const NOTHING = Buffer.alloc(0)

/**
 * The canonical truth, as tables of a ledger:
 *
 * - tree `blobs`, by id: `F` facts · `K` + key: a key bound to the blob · `L` + place: a place that shall hold it
 * - tree `keys`, by key: `B` binding · `L` + backend: the row of a place
 */
export class BlobIndex implements Index {
  readonly ledger: TreeLedger
  readonly #facts: Table<Omit<BlobFacts, 'id'>>
  readonly #keysOf: Table<null>
  readonly #placesOf: Table<null>
  readonly #bindings: Table<{ id: BlobId }>
  readonly #locations: Table<Omit<LocationFacts, keyof Place>>

  constructor(ledger: TreeLedger) {
    this.ledger = ledger
    this.#facts = new Table(ledger, 'blobs', 'F')
    this.#keysOf = new Table(ledger, 'blobs', 'K')
    this.#placesOf = new Table(ledger, 'blobs', 'L')
    this.#bindings = new Table(ledger, 'keys', 'B')
    this.#locations = new Table(ledger, 'keys', 'L')
  }

  async binding(key: string): Promise<Binding | null> {
    const row = this.#bindings.get(this.#bindings.key(Buffer.from(key)))
    return row ? { key, id: row.value.id, rev: revOf(row) } : null
  }

  async has(id: BlobId): Promise<boolean> {
    return this.#facts.seq(this.#facts.key(blobPartition(id))) !== undefined
  }

  async known(id: BlobId): Promise<Known | null> {
    const partition = blobPartition(id)
    const row = this.#facts.get(this.#facts.key(partition))
    if (!row) return null
    const locations = [...this.#locationsOf(partition)]
    const rev = joinRevs(
      row.seq,
      locations.map((location) => location.rev),
    )
    return { facts: { id, ...row.value }, locations, rev }
  }

  async location({ backend, key }: Place): Promise<Location | null> {
    const row = this.#locations.get(this.#locationKey({ backend, key }))
    // Of what is given only these: whatever else it holds must not come to be written into the row.
    return row ? { backend, key, ...row.value, rev: revOf(row) } : null
  }

  async *keys(id: BlobId): AsyncIterable<string> {
    for (const { suffix } of this.#keysOf.rows(blobPartition(id))) yield suffix.toString()
  }

  async *bindings(o: { signal: AbortSignal; prefix?: string; after?: string }): AsyncIterable<Binding> {
    for (const { partition, suffix, row } of this.#scanKeys(o, this.#bindings))
      if (suffix.length === 0) yield { key: partition, id: row.value.id, rev: revOf(row) }
  }

  async *located(o: { signal: AbortSignal; backend: string; after?: string }): AsyncIterable<Location> {
    for (const { partition, suffix, row } of this.#scanKeys(o, this.#locations))
      if (suffix === o.backend) yield { backend: o.backend, key: partition, ...row.value, rev: revOf(row) }
  }

  expect(tx: Transaction, what: { key: string } | { id: BlobId } | { place: Place }, rev: Rev | null): void {
    guard(tx, (reader) => this.#rev(what, reader) === rev)
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
    write(tx, (writer) => {
      const former = this.#bindings.get(rowKey, writer)
      if (former && former.value.id !== id) this.#dropKey(writer, former.value.id, name)
      this.#bindings.putNow(writer, rowKey, { id })
      writer.put('blobs', this.#keysOf.key(blobPartition(id), name), NOTHING)
    })
  }

  unbind(tx: Transaction, key: string): void {
    const name = Buffer.from(key)
    const rowKey = this.#bindings.key(name)
    write(tx, (writer) => {
      const former = this.#bindings.get(rowKey, writer)
      if (!former) return
      writer.remove('keys', rowKey)
      this.#dropKey(writer, former.value.id, name)
    })
  }

  locate(tx: Transaction, { backend, key, ...location }: LocationFacts): void {
    const place = { backend, key }
    const rowKey = this.#locationKey(place)
    write(tx, (writer) => {
      const former = this.#locations.get(rowKey, writer)
      if (former && former.value.id !== location.id) this.#dropPlace(writer, former.value.id, place)
      this.#locations.putNow(writer, rowKey, location)
      writer.put('blobs', this.#placesOf.key(blobPartition(location.id), placeSuffix(place)), NOTHING)
    })
  }

  unlocate(tx: Transaction, place: Place): void {
    const rowKey = this.#locationKey(place)
    write(tx, (writer) => {
      const former = this.#locations.get(rowKey, writer)
      if (!former) return
      writer.remove('keys', rowKey)
      this.#dropPlace(writer, former.value.id, place)
    })
  }

  #dropKey(writer: Writer, id: BlobId, key: Buffer): void {
    writer.remove('blobs', this.#keysOf.key(blobPartition(id), key))
  }

  async medium(backend: string): Promise<string | null> {
    return this.ledger.get('meta', mediumKey(backend), decodeRow<string>)?.value ?? null
  }

  setMedium(tx: Transaction, backend: string, medium: string | null): void {
    write(tx, (writer) => {
      if (medium === null) writer.remove('meta', mediumKey(backend))
      else writer.put('meta', mediumKey(backend), encodeRow(medium, writer.seq))
    })
  }

  #dropPlace(writer: Writer, id: BlobId, place: Place): void {
    writer.remove('blobs', this.#placesOf.key(blobPartition(id), placeSuffix(place)))
  }

  #locationKey({ backend, key }: Place): Buffer {
    return this.#locations.key(Buffer.from(key), Buffer.from(backend))
  }

  *#locationsOf(partition: Buffer, reader: Reader = this.ledger): Generator<Location> {
    for (const { suffix } of this.#placesOf.rows(partition, reader)) {
      const place = placeOf(suffix)
      const row = this.#locations.get(this.#locationKey(place), reader)
      if (row) yield { ...place, ...row.value, rev: revOf(row) }
    }
  }

  #rev(what: { key: string } | { id: BlobId } | { place: Place }, reader: Reader): Rev | null {
    if ('key' in what) return seqRev(this.#bindings.seq(this.#bindings.key(Buffer.from(what.key)), reader))
    if ('place' in what) return seqRev(this.#locations.seq(this.#locationKey(what.place), reader))
    const partition = blobPartition(what.id)
    const seq = this.#facts.seq(this.#facts.key(partition), reader)
    if (seq === undefined) return null
    const revs: Rev[] = []
    for (const { suffix } of this.#placesOf.rows(partition, reader)) {
      const rev = seqRev(this.#locations.seq(this.#locationKey(placeOf(suffix)), reader))
      if (rev !== null) revs.push(rev)
    }
    return joinRevs(seq, revs)
  }

  /** Rows of one table of the tree `keys`, whose partitions end at the first NUL. */
  *#scanKeys<T>(o: { signal: AbortSignal; prefix?: string; after?: string }, table: Table<T>) {
    const prefix = Buffer.from(o.prefix ?? '')
    const from = o.after === undefined ? prefix : later(prefix, Buffer.concat([Buffer.from(o.after), Buffer.of(1)]))
    for (const [key, value] of scan(this.ledger, 'keys', from, prefix.length ? after(prefix) : END)) {
      if (o.signal.aborted) throw o.signal.reason
      const end = key.indexOf(0)
      const suffix = table.suffix(key, end)
      if (suffix) yield { partition: key.toString('utf8', 0, end), suffix: suffix.toString(), row: table.decode(value) }
    }
  }
}

function later(a: Buffer, b: Buffer): Buffer {
  return Buffer.compare(a, b) < 0 ? b : a
}

function revOf(row: Row<unknown>): Rev {
  return String(row.seq) as Rev
}

function seqRev(seq: number | undefined): Rev | null {
  return seq === undefined ? null : (String(seq) as Rev)
}

function joinRevs(facts: number, locations: readonly Rev[]): Rev {
  return [facts, ...locations].join('.') as Rev
}
