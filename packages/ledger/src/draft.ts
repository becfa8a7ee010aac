import type { DurableEvent, Transaction } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import { nameOf, positionOf } from './key-name.ts'
import type { Piece, Range, Reader, Tree, Writer } from './ledger.ts'
import { type Appended, findPiece, Places } from './packs.ts'

/** Of lmdb-js. A longer key that is met only when the write is applied would leave half a transaction behind. */
const MAX_KEY_BYTES = 1978
/** A larger row is read again: copying it would cost more. */
const MOST_KEPT_BYTES = 4096
const AT = { op: 'commit' }

/** A row that a plan wrote. */
export interface Write {
  readonly tree: Tree
  readonly key: Uint8Array
  /** `null`: it is removed. */
  value: Buffer | null
}

/** What a plan added to a row of numbers. */
export interface Added {
  readonly tree: Tree
  readonly key: Uint8Array
  readonly deltas: readonly number[]
}

/** What a run of a plan is told of itself. */
export interface Own {
  readonly ticket: bigint
  readonly now: number
  /** Makes the places that a run is given. */
  readonly places?: () => Places
}

/** A plan as it was handed in. */
export interface Plan {
  readonly plan: (tx: Transaction) => unknown
  readonly now: number
}

/** One run of a plan: what it reads are the rows of a base, under its own writes; what it writes is collected. */
export class Draft implements Writer {
  readonly base: Reader
  readonly #places: Places
  readonly ticket: bigint
  readonly now: number
  readonly #own = new Map<Tree, OwnRows>()
  readonly #known = new Map<Tree, Map<string, Buffer | null>>()
  #hasEnded = false
  /** What the plan returned. */
  value: unknown
  /** In the order of their first write; each row once. */
  readonly writes: Write[] = []
  readonly added: Added[] = []
  readonly appended: Appended[] = []
  readonly discarded: Piece[] = []
  /** As JSON: what cannot be encoded fails its plan, not the group. */
  readonly events: string[] = []
  /** The same as they were recorded. */
  readonly recorded: DurableEvent[] = []
  readonly actions: (() => void)[] = []

  constructor(base: Reader, { ticket, now, places }: Own) {
    this.base = base
    this.#places = places?.() ?? new Places(Number(ticket))
    this.ticket = ticket
    this.now = now
  }

  /** @throws What the plan throws. @throws {StorageError} INVALID_ARGUMENT: it returned a promise. */
  run(plan: (tx: Transaction) => unknown): this {
    try {
      this.value = requireResult(plan(this as unknown as Transaction))
    } finally {
      this.#hasEnded = true
    }
    return this
  }

  get isEmpty(): boolean {
    return [this.writes, this.added, this.events, this.appended, this.discarded].every(({ length }) => length === 0)
  }

  /** The number of the pack that comes behind all that the run began. */
  get nextPack(): number {
    return this.#places.next
  }

  get<T>(tree: Tree, key: Uint8Array, decode: (value: Buffer) => T): T | undefined {
    this.#requireOpen()
    const name = nameOf(key)
    const own = this.#own.get(tree)?.get(name)
    if (own) return own.value === null ? undefined : decode(own.value)
    const known = this.#knownOf(tree)
    const value = known.get(name)
    if (value !== undefined) return value === null ? undefined : decode(value)
    let decoded: T | undefined
    const isThere = this.base.get(tree, key, (read) => {
      decoded = decode(read)
      if (read.length <= MOST_KEPT_BYTES) known.set(name, Buffer.from(read))
      return true
    })
    if (!isThere) known.set(name, null)
    return decoded
  }

  range(tree: Tree, range: Range): [Buffer, Buffer][] {
    this.#requireOpen()
    const own = this.#own.get(tree)?.between(range.from, range.to) ?? []
    if (own.length === 0) return this.base.range(tree, range)
    const { from, to, limit = 500 } = range
    // Each own row takes the place of at most one of the base: the page is full all the same.
    const base = this.base.range(tree, { from, to, limit: limit + own.length })
    return merge(base, own).slice(0, limit)
  }

  piece<T>(piece: Piece, decode: (bytes: Buffer) => T): T | undefined {
    this.#requireOpen()
    const own = findPiece(this.appended, piece)
    return own ? decode(Buffer.from(own)) : this.base.piece(piece, decode)
  }

  hint(tree: Tree, range: Range): [Buffer, Buffer][] {
    this.#requireOpen()
    return this.base.range(tree, range)
  }

  put(tree: Tree, key: Uint8Array, value: Uint8Array): void {
    this.#write(tree, key, Buffer.from(value.buffer, value.byteOffset, value.byteLength))
  }

  remove(tree: Tree, key: Uint8Array): void {
    this.#write(tree, key, null)
  }

  add(tree: Tree, key: Uint8Array, deltas: readonly number[]): void {
    this.#requireOpen()
    requireLength(key)
    this.added.push({ tree, key, deltas })
  }

  append(owner: Uint8Array, bytes: Uint8Array): Piece {
    this.#requireOpen()
    const piece = this.#places.take(bytes.length)
    this.appended.push({ piece, owner, bytes })
    return piece
  }

  discard(piece: Piece): void {
    this.#requireOpen()
    this.discarded.push(piece)
  }

  record(event: DurableEvent): void {
    this.#requireOpen()
    this.events.push(JSON.stringify(event))
    this.recorded.push(event)
  }

  afterwards(action: () => void): void {
    this.#requireOpen()
    this.actions.push(action)
  }

  /**
   * Rows of the base that were read, and those that are not there: a plan is made of parts that ask for the same rows, and reading one
   * costs ten times as much as keeping it.
   */
  #knownOf(tree: Tree): Map<string, Buffer | null> {
    const known = this.#known.get(tree) ?? new Map<string, Buffer | null>()
    this.#known.set(tree, known)
    return known
  }

  #write(tree: Tree, key: Uint8Array, value: Buffer | null): void {
    this.#requireOpen()
    requireLength(key)
    const rows = this.#own.get(tree) ?? new OwnRows()
    this.#own.set(tree, rows)
    const name = nameOf(key)
    const former = rows.get(name)
    if (former) former.value = value
    else this.writes.push(rows.add(name, { tree, key, value }))
  }

  /**
   * Else what a plan writes once it has returned would be lost without a word, and what it reads would be rows that may never have been
   * committed.
   */
  #requireOpen(): void {
    if (this.#hasEnded) throw new StorageError('INVALID_ARGUMENT', AT, { detail: 'the plan has returned already' })
  }
}

/** The rows that a transaction began with. */
export function baseOf(tx: Transaction): Reader {
  return (tx as unknown as Draft).base
}

/** @throws {StorageError} INVALID_ARGUMENT for a promise: by the time it settles, the rows are others. */
export function requireResult<T>(value: T): T {
  if (typeof (value as { then?: unknown } | null | undefined)?.then !== 'function') return value
  // Nobody else hears of its rejection.
  Promise.resolve(value).catch(() => {})
  throw new StorageError('INVALID_ARGUMENT', AT, { detail: 'a plan is synchronous: it returns no promise' })
}

/** @throws {StorageError} INVALID_ARGUMENT: there is nothing to run. */
export function requireFunction(what: 'a plan' | 'a look', run: unknown): void {
  if (typeof run === 'function') return
  const detail = `${what} is a function, not ${run === null ? 'null' : typeof run}`
  throw new StorageError('INVALID_ARGUMENT', { op: what === 'a plan' ? 'commit' : 'read' }, { detail })
}

function requireLength(key: Uint8Array): void {
  if (key.length <= MAX_KEY_BYTES) return
  const detail = `a row's key takes ${key.length} bytes of ${MAX_KEY_BYTES}`
  throw new StorageError('INVALID_KEY', AT, { detail })
}

/** Rows of the base, in order, under own ones, in order. Own rows are copied, as those of the base are. */
function merge(base: readonly [Buffer, Buffer][], own: readonly NamedWrite[]): [Buffer, Buffer][] {
  const rows: [Buffer, Buffer][] = []
  let next = 0
  const takeBefore = (name: string | null) => {
    for (let one = own[next]; one && (name === null || one.name < name); one = own[++next]) take(one)
  }
  const take = ({ write: { key, value } }: NamedWrite) => {
    if (value !== null) rows.push([Buffer.from(key), Buffer.from(value)])
  }
  for (const row of base) {
    const name = nameOf(row[0])
    takeBefore(name)
    if (own[next]?.name === name) take(own[next++] as NamedWrite)
    else rows.push(row)
  }
  takeBefore(null)
  return rows
}

interface NamedWrite {
  readonly name: string
  readonly write: Write
}

/** A plan's own writes to one tree. Sorted once a range asks for them, and kept so. */
class OwnRows {
  readonly #writes = new Map<string, Write>()
  #sorted: string[] | undefined

  get(name: string): Write | undefined {
    return this.#writes.get(name)
  }

  add(name: string, write: Write): Write {
    this.#sorted?.splice(positionOf(this.#sorted, name), 0, name)
    this.#writes.set(name, write)
    return write
  }

  between(from: Uint8Array, to: Uint8Array): NamedWrite[] {
    this.#sorted ??= [...this.#writes.keys()].sort()
    const names = this.#sorted.slice(positionOf(this.#sorted, nameOf(from)), positionOf(this.#sorted, nameOf(to)))
    return names.map((name) => ({ name, write: this.#writes.get(name) as Write }))
  }
}
