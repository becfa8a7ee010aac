import type { Op } from '../backend/contract.ts'
import type { DurableEvent, Logged } from '../model/event.ts'
import type { Failure } from '../model/failure.ts'

declare const transaction: unique symbol

/** A list of guards and writes. Nothing is read from it, so it fits one LMDB transaction, one SQL round trip, or an array. */
export interface Transaction {
  readonly [transaction]: true
}

/** The one commit. Index, queue and staging are made on a ledger, and a store refuses those of different ledgers. */
export interface Ledger {
  /**
   * Calls `write` once, synchronously, to collect guards and writes; then checks all guards and applies all writes, or none.
   * Resolves when durable.
   *
   * @returns The place of this commit in the order of all commits.
   * @throws {StorageError} CONFLICT: a guard failed and nothing was written; read again and build anew · NO_SPACE, UNAVAILABLE:
   *   nothing was written, unless `ambiguous`: the outcome is unknown; read before claiming either. Not `retryable` once degraded.
   */
  transact(write: (tx: Transaction) => void): Promise<{ readonly seq: number }>
  /** What is read from here on includes all that any process has committed by now. */
  refresh(): void
  /** Writes an event into the log, with the number of this commit; at most one in a transaction. */
  record(tx: Transaction, event: DurableEvent): void
  /**
   * Events after the commit `since`, in the order of commits, up to what is there now. The last 100,000 are kept.
   *
   * @throws {StorageError} NOT_FOUND: events after `since` were dropped already, or no commit has come to it.
   */
  events(o: Op & { since: number }): AsyncIterable<Logged<DurableEvent>>
  /** Why nothing is committed any more, though reads go on; `null` while all is well. It ends with opening the ledger anew. */
  readonly degraded: Failure | null
  /** Calls `listener` once, when it becomes degraded. @returns A function that ends it. */
  onDegraded(listener: (failure: Failure) => void): () => void
  /** How its disk is now; `null`: it has none. */
  disk(): DiskUsage | null
  close(): Promise<void>
}

/** The disk that a ledger lies on, in bytes. */
export interface DiskUsage {
  readonly free: number
  /** Space that puts leave free, for operations that free space. */
  readonly reserve: number
  /** Bytes missing from the ballast. Puts leave this space free too: without a ballast, a store on a full disk cannot be opened. */
  readonly missingBallast: number
}
