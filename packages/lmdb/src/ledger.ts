import type { Ledger, Transaction } from '@stored/core'

/** The trees of a ledger. Rows that change together share one, so that a commit writes few pages. */
export const TREES = ['meta', 'blobs', 'keys', 'bytes', 'due', 'running', 'parked', 'owed', 'counts', 'events'] as const
/** The trees of a ledger, by name. */
export type Tree = (typeof TREES)[number]

/** Which rows of a tree are read, in which order. */
export interface Range {
  /** First key, inclusive. */
  from: Uint8Array
  /** End, exclusive. */
  to: Uint8Array
  /** @default 500 */
  limit?: number
}

/** Keys are compared byte by byte. */
export interface Reader {
  /** Calls `decode` with the value while it is valid: a decoder that keeps bytes copies them. */
  get<T>(tree: Tree, key: Uint8Array, decode: (value: Buffer) => T): T | undefined
  /** A copy of at most `limit` rows, in order: short reads keep no old pages alive. */
  range(tree: Tree, range: Range): [key: Buffer, value: Buffer][]
}

/** What a step of a commit is given. It reads what was there before this commit, not what its own transaction writes. */
export interface Writer extends Reader {
  /** Of this commit. */
  readonly seq: number
  put(tree: Tree, key: Uint8Array, value: Uint8Array): void
  remove(tree: Tree, key: Uint8Array): void
  /** Adds to a row of numbers, however often in one transaction. Read, it holds what earlier transactions added. */
  add(tree: Tree, key: Uint8Array, deltas: readonly number[]): void
}

/** What one `transact` collects. */
export class Steps {
  readonly guards: ((reader: Reader) => boolean)[] = []
  readonly writes: ((writer: Writer) => void)[] = []
  readonly afterwards: (() => void)[] = []
  hasEvent = false
}

/** A ledger of ordered trees: what index, queue and staging are tables of. */
export interface TreeLedger extends Ledger, Reader {
  /** The number of the last commit; 0 before the first one. */
  readonly seq: number
  /** @throws {StorageError} NO_SPACE when `bytes` more would leave less than the reserve. */
  requireSpace(bytes: number): void
}

/** Adds a check that is made inside the commit, before any write of this transaction. */
export function guard(tx: Transaction, check: (reader: Reader) => boolean): void {
  steps(tx).guards.push(check)
}

/** Adds a write. Throws it, the whole transaction is rejected with that error and writes nothing. */
export function write(tx: Transaction, step: (writer: Writer) => void): void {
  steps(tx).writes.push(step)
}

/** Adds what happens once the commit is durable, such as unlinking a file that no row names any more. */
export function afterwards(tx: Transaction, action: () => void): void {
  steps(tx).afterwards.push(action)
}

export function newTransaction(): Transaction & Steps {
  return new Steps() as unknown as Transaction & Steps
}

export function steps(tx: Transaction): Steps {
  return tx as unknown as Steps
}
