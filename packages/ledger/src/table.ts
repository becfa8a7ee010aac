import { setImmediate } from 'node:timers/promises'
import type { Ledger, Transaction } from '@stored/core'
import { type Reader, readerOf, type Tree, type TreeLedger, type Writer, writerOf } from './ledger.ts'
import { decodeRow, encodeRow, type Row, rowTicket } from './row.ts'

/**
 * Rows of one kind in a tree they share with others. A row's key is `partition NUL tag suffix`: all rows of a partition (a
 * blob's id, a key) lie side by side. Partitions hold no NUL, or are all of one length.
 */
export class Table<T> {
  readonly tree: Tree
  readonly #tag: number

  constructor(ledger: TreeLedger, tree: Tree, tag: string) {
    ledger.useTree(tree)
    this.tree = tree
    this.#tag = tag.charCodeAt(0)
  }

  key(partition: Uint8Array, suffix?: Uint8Array): Buffer {
    const length = partition.length
    const key = Buffer.allocUnsafe(length + 2 + (suffix?.length ?? 0))
    key.set(partition)
    key[length] = 0
    key[length + 1] = this.#tag
    if (suffix) key.set(suffix, length + 2)
    return key
  }

  readonly decode = decodeRow<T>

  /** Whether `key` is that of a row of this kind. */
  holds(key: Buffer, partitionLength: number): boolean {
    return key[partitionLength + 1] === this.#tag
  }

  /** The suffix of `key`, or `null` when it is a row of another kind. */
  suffix(key: Buffer, partitionLength: number): Buffer | null {
    return this.holds(key, partitionLength) ? key.subarray(partitionLength + 2) : null
  }

  get(key: Uint8Array, reader: Reader): Row<T> | undefined {
    return reader.get(this.tree, key, this.decode)
  }

  /** Of the transaction that wrote the row. */
  ticket(key: Uint8Array, reader: Reader): bigint | undefined {
    return reader.get(this.tree, key, rowTicket)
  }

  put(tx: Transaction, key: Uint8Array, value: T): void {
    this.putNow(writerOf(tx), key, value)
  }

  putNow(writer: Writer, key: Uint8Array, value: T): void {
    writer.put(this.tree, key, encodeRow(value, writer.ticket))
  }

  remove(tx: Transaction, key: Uint8Array): void {
    writerOf(tx).remove(this.tree, key)
  }
}

/** Rows that are read in one look. */
export const PAGE = 500

/** What is walked through. */
export interface Walk {
  /** First key, inclusive. */
  readonly from: Uint8Array
  /** End, exclusive. */
  readonly to: Uint8Array
  /** Ends the walk. */
  readonly signal?: AbortSignal | undefined
}

/**
 * Rows of a tree, a look for each page: what walks through many rows goes by this. Between two pages everybody else in the process has a
 * turn, so timers, signals and answers come, however many rows there are. Rows written meanwhile may or may not be met.
 *
 * @yields At least one page, which may be empty.
 * @throws The signal's reason, before the next page is read.
 */
export async function* pages(
  ledger: Ledger,
  tree: Tree,
  { from, to, signal }: Walk,
): AsyncGenerator<[key: Buffer, value: Buffer][], void, void> {
  for (let next: Uint8Array = from; ; await setImmediate()) {
    signal?.throwIfAborted()
    const range = { from: next, to, limit: PAGE }
    const page = await ledger.look((view) => readerOf(view).range(tree, range))
    yield page
    const last = page.at(-1)
    if (page.length < PAGE || !last) return
    next = Buffer.concat([last[0], Buffer.of(0)])
  }
}

/** Rows of a range that is known to be small, at once: all of one moment, as a commit needs them. @see pages for all others */
export function* scan(
  reader: Reader,
  tree: Tree,
  from: Uint8Array,
  to: Uint8Array,
): Generator<[key: Buffer, value: Buffer]> {
  let next = from
  while (true) {
    const page = reader.range(tree, { from: next, to, limit: PAGE })
    yield* page
    const last = page.at(-1)
    if (page.length < PAGE || !last) return
    next = Buffer.concat([last[0], Buffer.of(0)])
  }
}

/** The first key that does not start with `prefix`, which is not all 0xff. */
export function after(prefix: Uint8Array): Buffer {
  let end = prefix.length
  while (end > 0 && prefix[end - 1] === 0xff) end--
  const key = Buffer.from(prefix.subarray(0, end))
  if (end > 0) key[end - 1] = (prefix[end - 1] as number) + 1
  return key
}

/** Sorts after every key. */
export const END = Buffer.alloc(40, 0xff)
