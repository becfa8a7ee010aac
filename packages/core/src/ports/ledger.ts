import type { Op } from '../backend/contract.ts'
import type { DurableEvent, Logged, Position } from '../model/event.ts'
import type { Failure } from '../model/failure.ts'

declare const view: unique symbol

/** Rows as they are at one moment. Index, queue and staging read through it. */
export interface View {
  readonly [view]: true
}

/** A view that also collects writes, and sees them. */
export interface Transaction extends View {
  /** Unique in the store among transactions that write, and the same in every run of one plan. It says nothing about their order. */
  readonly ticket: bigint
  /** When the plan was handed in, in milliseconds since the epoch: the same in every run. */
  readonly now: number
  /** Runs `action` once, when the commit is durable. */
  afterwards(action: () => void): void
}

/** The result of a commit. */
export interface Committed<T> {
  /** What the plan returned. */
  readonly value: T
  /** Of the last event that it recorded, else of the commit. */
  readonly position: Position
  /** The position as a number. @deprecated Use `position`: other ledgers have no number. */
  readonly seq: number
  /** What it recorded, in order. */
  readonly events: readonly Logged<DurableEvent>[]
}

/** Which rows of a table are read. */
export interface RowsOptions {
  /** Only keys that start with this. */
  readonly prefix?: string
  /** Only keys that sort after this one. */
  readonly after?: string
  /** @default 500, which is the most */
  readonly limit?: number
}

/** Rows of one kind, by keys of up to 1,024 bytes of UTF-8, in the order of these bytes. They hold JSON values. */
export interface LedgerTable<T> {
  /** @returns `null`: there is no such row. */
  get(view: View, key: string): T | null
  /** A page of rows, in order. */
  rows(view: View, o?: RowsOptions): (readonly [key: string, row: T])[]
  put(tx: Transaction, key: string, row: T): void
  remove(tx: Transaction, key: string): void
}

/** The one commit. Index, queue and staging are made on a ledger, and a store refuses those of different ledgers. */
export interface Ledger {
  /** Runs `read` over one view, which is never older than the call. It is a pure function of what it reads, and may run several times. */
  look<T>(read: (view: View) => T): Promise<T>
  /**
   * Runs `plan` over the newest state and writes all that it collected, or nothing. What the plan read is still so when its writes take
   * effect, in all processes. Resolves when durable.
   *
   * A plan is a pure, synchronous function of what it reads: no clock, no randomness, no I/O, nothing kept between two runs. It may run
   * any number of times, also over rows of different moments; only its last run counts. If it throws, it is rejected alone with that
   * error, and leaves nothing.
   *
   * @throws {StorageError} INVALID_ARGUMENT: the plan returned a promise · NO_SPACE, UNAVAILABLE: nothing was written, unless `ambiguous`:
   *   the outcome is unknown; read before claiming either. Not `retryable` once degraded.
   */
  transact<T>(plan: (tx: Transaction) => T): Promise<Committed<T>>
  /**
   * A table for a package that the ledger knows nothing of. Every `owner` has rows of its own, and no other package writes to them.
   *
   * @throws {StorageError} INVALID_ARGUMENT: the ledger has no room for another owner.
   */
  table<T>(owner: string, name: string): LedgerTable<T>
  /** Later reads include everything that any process has committed by now. */
  refresh(): void
  /** Writes an event into the log, behind those that were recorded before it. Its position is known once it is committed. */
  record(tx: Transaction, event: DurableEvent): void
  /**
   * Events behind the position `since`, in the order of commits, up to what is there now, in pages, none of them empty. The last
   * 100,000 are kept.
   *
   * @throws {StorageError} NOT_FOUND: events after `since` were dropped already, or no commit has come to it · CORRUPT, behind those
   *   before it: an event is damaged.
   */
  events(o: Op & { since: Position | number }): AsyncIterable<readonly Logged<DurableEvent>[]>
  /** Why nothing more is committed, although reads still work; `null` while all is well. Opening the ledger again ends it. */
  readonly degraded: Failure | null
  /** Calls `listener` once, when the ledger becomes degraded. @returns A function that removes the listener. */
  onDegraded(listener: (failure: Failure) => void): () => void
  /** The state of its disk; `null` if it has none. */
  disk(): DiskUsage | null
  close(): Promise<void>
}

/** The disk that a ledger is on, in bytes. */
export interface DiskUsage {
  readonly free: number
  /** Space that puts leave free, for operations that free space. */
  readonly reserve: number
  /** Bytes missing from the ballast. Puts leave this space free too: without a ballast, a store on a full disk cannot be opened. */
  readonly missingBallast: number
}
