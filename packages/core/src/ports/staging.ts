import type { Op } from '../backend/contract.ts'
import type { BlobId } from '../model/blob.ts'
import type { Rev } from '../model/revision.ts'
import type { Chunks } from '../source/source.ts'
import type { Ledger, Transaction, View } from './ledger.ts'

/** Bytes received but not yet part of a commit. Disposed without `keep`, they are discarded. */
export interface Staged extends AsyncDisposable {
  readonly size: number
}

/** Bytes that were opened for reading. Whoever opened them disposes of them. */
export interface Opened extends AsyncDisposable {
  /** Of the whole blob, in bytes. */
  readonly size: number
  readonly body: AsyncIterable<Uint8Array>
  /** The file that `body` reads whole: a backend on its medium may clone it. `body` throws when another took its place. */
  readonly file?: string
}

/** Staged bytes that were opened. */
export interface OpenedStaged extends Opened {
  /** Another one once other bytes were kept in place of these. */
  readonly rev: Rev
}

/** How much is staged, of how much. */
export interface StagingUsage {
  /** Kept, by whatever process, and being received by this one. */
  readonly bytes: number
  /** Blobs kept. */
  readonly count: number
  /** In bytes. */
  readonly limit: number
  /** Bytes that have to leave before it is below its high-water mark and has room for whoever waits here; 0 when none. */
  readonly excess: number
}

/** Bytes owed to a backend. Durable, bounded; nothing evicts them; `release` is the only way out. */
export interface Staging {
  readonly ledger: Ledger
  /**
   * Reads `source` once, to where nobody can see it. Durable when it resolves, or with the commit that keeps it. A chunk is valid
   * until the next but one is asked for. No more is read than there is room for, and whoever waits for room waits in turn.
   *
   * @param o.size In bytes, where it is known: the room is then taken before the first read, else as the bytes come.
   * @param o.whenFull Whether to wait for room until something else leaves.
   * @throws {StorageError} STAGING_FULL: there is no room, and it is not to wait · it is larger than all of staging · all room is
   *   taken by receivers of unknown size that wait for each other.
   */
  receive(source: Chunks, o: Op & { size?: number | undefined; whenFull: 'wait' | 'refuse' }): Promise<Staged>
  /** Keeps received bytes, in place of those that are kept already: nobody knows whether these can still be read. */
  keep(tx: Transaction, id: BlobId, staged: Staged): void
  release(tx: Transaction, id: BlobId): void
  /** Notes that a blob may be among those that can leave above the high-water mark: a copy of it was verified. Safe to repeat. */
  markReleasable(tx: Transaction, id: BlobId): void
  /** Takes the note back; `release` does as well. */
  unmarkReleasable(tx: Transaction, id: BlobId): void
  /** Blobs that are marked, the longest marked first. */
  releasable(o: { limit: number }): Promise<BlobId[]>
  usage(): StagingUsage
  /** Whether `usage().excess` is above 0. */
  isAboveHighWater(): boolean
  /** Calls `listener` when a receiver finds no room, again with each `recheck` while one waits. @returns A function that ends it. */
  onFull(listener: () => void): () => void
  /** Lets in who fits by now: another process may have released something. */
  recheck(): void
  /** Whether its bytes are kept. */
  has(view: View, id: BlobId): boolean
  /** @param o.toClone Names the `file`, where there is one, and watches over that name while the body is read. */
  open(id: BlobId, o: Op & { offset?: number; length?: number; toClone?: boolean }): Promise<OpenedStaged | null>
  /** Rejects who waits for room, with CLOSED. What is kept can be read and released until the ledger is closed. */
  close(): Promise<void>
}
