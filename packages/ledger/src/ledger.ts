import type { DurableEvent, Ledger, Transaction, View } from '@stored/core'
import { StorageError } from '@stored/core/backend'

/** Trees that each ledger has from the start. Rows that change together share one, so that a commit writes few pages. */
export const TREES = [
  'meta',
  'blobs',
  'keys',
  'bytes',
  'due',
  'running',
  'parked',
  'owed',
  'counts',
  'events',
  'packs',
] as const
/** A tree of a ledger, by its name. */
export type Tree = string

/** Which rows of a tree are read, in which order. */
export interface Range {
  /** First key, inclusive. */
  from: Uint8Array
  /** End, exclusive. */
  to: Uint8Array
  /** @default 500 */
  limit?: number
}

/** Where appended bytes lie. */
export interface Piece {
  /** The number of the pack. */
  readonly pack: number
  readonly offset: number
  readonly length: number
}

/** Rows as they are at one moment. Keys are compared byte by byte. */
export interface Reader {
  /** Calls `decode` with the value while it is valid: a decoder that keeps bytes copies them. */
  get<T>(tree: Tree, key: Uint8Array, decode: (value: Buffer) => T): T | undefined
  /** A copy of at most `limit` rows, in order: short reads keep no old pages alive. */
  range(tree: Tree, range: Range): [key: Buffer, value: Buffer][]
  /** Calls `decode` with appended bytes while they are valid. @returns `undefined` where there are none. */
  piece<T>(piece: Piece, decode: (bytes: Buffer) => T): T | undefined
}

/** What a plan reads and writes by: the newest state, under what the plan wrote itself. */
export interface Writer extends Reader {
  /** @see Transaction.ticket */
  readonly ticket: bigint
  /** @see Transaction.now */
  readonly now: number
  put(tree: Tree, key: Uint8Array, value: Uint8Array): void
  remove(tree: Tree, key: Uint8Array): void
  /**
   * Adds to a row of numbers, any number of times in one plan, and after its other writes. Plans that add to one row never conflict; the plan
   * itself does not see what it added.
   */
  add(tree: Tree, key: Uint8Array, deltas: readonly number[]): void
  /** Rows that may be of any moment, without the plan's own writes. Not a guard: read each row that you use again, with `get`. */
  hint(tree: Tree, range: Range): [key: Buffer, value: Buffer][]
  /**
   * Keeps bytes in one value with those of other plans of its group, a pack. The place is one of this run: a plan that runs again may be
   * given another.
   *
   * @param owner Names the row that says where the piece lies, for whoever rewrites the pack; 255 bytes at most.
   */
  append(owner: Uint8Array, bytes: Uint8Array): Piece
  /** Gives up what was appended, once. A pack goes with its last piece, in the same commit. */
  discard(piece: Piece): void
  /** Writes an event into the log, behind those recorded before it. */
  record(event: DurableEvent): void
  /** @see Transaction.afterwards */
  afterwards(action: () => void): void
}

/** A ledger of ordered trees: what index, queue and staging are tables of. */
export interface TreeLedger extends Ledger, Reader {
  /** Makes a tree of this name, unless there is one. A table does so for its own. */
  useTree(tree: Tree): void
  /** The number of the last commit; 0 before the first one. */
  readonly seq: number
  /** @throws {StorageError} NO_SPACE when `bytes` more would leave less than the reserve. */
  requireSpace(bytes: number): void
}

/** What a view is read by. */
export function readerOf(view: View): Reader {
  return view as unknown as Reader
}

/** What a transaction is read and written by. */
export function writerOf(tx: Transaction): Writer {
  return tx as unknown as Writer
}

/** For a tree that no table uses: a misspelt name must not read as an empty tree. */
export function unknownTree(tree: Tree): StorageError {
  return new StorageError(
    'INVALID_ARGUMENT',
    { op: 'read' },
    { detail: `no table uses a tree ${JSON.stringify(tree)}` },
  )
}
