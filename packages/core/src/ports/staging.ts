import type { Op } from '../backend/contract.ts'
import type { BlobId } from '../model/blob.ts'
import type { Rev } from '../model/revision.ts'
import type { Ledger, Transaction, View } from './ledger.ts'

/**
 * Bytes received but not yet part of a commit. Disposed without `keep`, they are discarded. While they are held, nothing takes them for
 * abandoned; once their process is gone, they are.
 */
export interface Staged extends AsyncDisposable {
  readonly size: number
}

/** Bytes that were opened for reading. The caller that opened them disposes of them. */
export interface Opened extends AsyncDisposable {
  /** The size of the whole blob in bytes, also when a range is read. */
  readonly size: number
  readonly body: AsyncIterable<Uint8Array>
  /** The file that `body` reads from start to end. A backend on the same medium may clone it. `body` throws if another file replaced it. */
  readonly file?: string
}

/** Staged bytes that were opened. */
export interface OpenedStaged extends Opened {
  /** Changes when other bytes replace these. */
  readonly rev: Rev
}

/** How much is staged, and how much may be. */
export interface StagingUsage {
  /** Bytes that any process has kept, and those that this one is receiving. */
  readonly bytes: number
  /** Blobs kept. */
  readonly count: number
  /** In bytes. */
  readonly limit: number
  /** Bytes that have to leave until staging is below its high-water mark and has space for the receivers that wait here; 0 if none. */
  readonly excess: number
}

/** Bytes owed to a backend. Durable, bounded; nothing evicts them; `release` is the only way out. */
export interface Staging {
  readonly ledger: Ledger
  /**
   * Reads `source` once, to where nobody can see the bytes. They are durable when it resolves, or with the commit that keeps them. A
   * chunk is valid until the next but one is asked for, unless `owned`. It reads no more than there is space for. Receivers wait for
   * space in turn.
   *
   * @param o.size In bytes, if known: the space is then taken before the first read, otherwise as bytes arrive.
   * @param o.whenFull Whether to wait until something else leaves.
   * @param o.owned Chunks stay as they are for good: they are not copied. @default false
   * @throws {StorageError} STAGING_FULL: there is no space, and it may not wait, or `refuseWaiting` was called · it is larger than all of staging · all space is
   *   taken by receivers of unknown size that wait for each other.
   */
  receive(
    source: Iterable<Uint8Array, void, void> | AsyncIterable<Uint8Array, void, void>,
    o: Op & { size?: number | undefined; whenFull: 'wait' | 'refuse'; owned?: boolean },
  ): Promise<Staged>
  /**
   * Keeps received bytes. They replace bytes kept before, because nobody knows whether those can still be read.
   *
   * @throws {StorageError} CONFLICT: they were taken for abandoned, because their process could not be seen and had stopped.
   */
  keep(tx: Transaction, id: BlobId, staged: Staged): void
  release(tx: Transaction, id: BlobId): void
  /** Marks a blob that may leave above the high-water mark, because a copy of it was verified. Safe to repeat. */
  markReleasable(tx: Transaction, id: BlobId): void
  /** Removes the mark. `release` does so too. */
  unmarkReleasable(tx: Transaction, id: BlobId): void
  /** Blobs that are marked, the longest marked first. */
  releasable(o: { limit: number }): Promise<BlobId[]>
  usage(): StagingUsage
  /** Whether `usage().excess` is above 0. */
  isAboveHighWater(): boolean
  /** Calls `listener` when a receiver finds no space, and with each `recheck` while one waits. @returns A function that removes the listener. */
  onFull(listener: () => void): () => void
  /** Rejects waiting receivers with STAGING_FULL, because nothing will leave. @param why For the message. */
  refuseWaiting(why: string): void
  /** Lets in receivers that fit by now: another process may have released something. */
  recheck(): void
  /** Whether its bytes are kept. */
  has(view: View, id: BlobId): boolean
  /** Its bytes, if they are kept as a part of the commit and not in a file. They are the caller's. */
  inline(view: View, id: BlobId): Uint8Array | null
  /** @param o.toClone Returns the `file`, if there is one, and watches its name while the body is read. */
  open(id: BlobId, o: Op & { offset?: number; length?: number; toClone?: boolean }): Promise<OpenedStaged | null>
  /** Rejects waiting receivers with CLOSED. Kept bytes can be read and released until the ledger is closed. */
  close(): Promise<void>
}
