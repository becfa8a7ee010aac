// What the store needs of its services; how each is kept is the implementation's business. Types only.
import type { Op } from './backend/contract.ts'
import type { StorageError, StorageErrorCode } from './backend/error.ts'
import type { GuardedBackend } from './guard/guarded-backend.ts'

/** A blob's name: its SHA-256, in lower-case hex. */
export type BlobId = `sha256:${string}`

declare const revision: unique symbol
/** Stands for one state of a row, and changes with every change of it. Opaque. */
export type Rev = string & { readonly [revision]: true }

export type Algorithm = 'sha256' | 'sha1' | 'md5' | 'xxh3'
/** Digests in lower-case hex. */
export type Digests = Readonly<Partial<Record<Algorithm, string>>> & { readonly sha256: string }

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
   * @throws {StorageError} CONFLICT: a guard failed and nothing was written; read again and build anew · UNAVAILABLE and
   *   `ambiguous`: the outcome is unknown; read before claiming either.
   */
  transact(write: (tx: Transaction) => void): Promise<{ readonly seq: number }>
  close(): Promise<void>
}

/** One copy, by where it lies. */
export interface Place {
  readonly backend: string
  readonly key: string
}

/**
 * What is known of a copy.
 *
 * - `pending`: owed, or being written
 * - `synced`: the backend confirmed it
 * - `failed`: its job was parked
 * - `conflict`: something StoreD did not write lies there
 * - `missing`, `corrupt`, `unknown`: found gone, found with wrong bytes, found changed by someone else
 * - `deleting`: to be removed; readers no longer see it
 */
export type LocationState =
  | 'pending'
  | 'synced'
  | 'failed'
  | 'conflict'
  | 'missing'
  | 'corrupt'
  | 'unknown'
  | 'deleting'

/** What a backend last confirmed to hold at a place, written there by StoreD. */
export interface Held {
  readonly id: BlobId
  readonly etag?: string
}

export interface Failure {
  readonly code: StorageErrorCode
  readonly message: string
}

export interface LocationFacts extends Place {
  readonly id: BlobId
  readonly state: LocationState
  /** One object for all keys of the blob (layout `id`): it goes with the last of them. */
  readonly shared?: true
  /** Absent until the first write was confirmed: whatever lies there then is not ours. */
  readonly holds?: Held
  /** Other blobs of ours whose write was begun and never confirmed: what lies there may be one of them. */
  readonly tried?: readonly BlobId[]
  /** When the bytes were last confirmed, in milliseconds since the epoch. */
  readonly verified?: number
  /** Why `state` is what it is. */
  readonly error?: Failure
}

/** One row for each place, so that workers that finish together cannot overwrite each other. */
export interface Location extends LocationFacts {
  readonly rev: Rev
}

/** What is true of a blob wherever it lies. */
export interface BlobFacts {
  readonly id: BlobId
  readonly checksums: Digests
  /** In bytes. */
  readonly size: number
  readonly mimeType: string
  /** Milliseconds since the epoch. */
  readonly created: number
  readonly modified: number
  readonly custom: Readonly<Record<string, unknown>>
}

/** A blob's facts and all its places. */
export interface Known {
  readonly facts: BlobFacts
  readonly locations: readonly Location[]
  /** Changes with the facts and with every location. */
  readonly rev: Rev
}

export interface Binding {
  readonly key: string
  readonly id: BlobId
  readonly rev: Rev
}

/** The canonical truth: blobs, their places and their keys. */
export interface Index {
  readonly ledger: Ledger
  binding(key: string): Promise<Binding | null>
  /** @returns `null` also for a blob of which only places being cleaned are left. */
  known(id: BlobId): Promise<Known | null>
  location(place: Place): Promise<Location | null>
  /** Keys bound to `id`, in UTF-8 order. */
  keys(id: BlobId): AsyncIterable<string>
  /** Bindings in UTF-8 order of their keys. */
  bindings(o: Op & { prefix?: string; after?: string }): AsyncIterable<Binding>
  /** Locations on one backend, in UTF-8 order of their keys. */
  located(o: Op & { backend: string; after?: string }): AsyncIterable<Location>
  /** Guard: this row is as it was read; `null`: it is absent. */
  expect(tx: Transaction, what: { key: string } | { id: BlobId } | { place: Place }, rev: Rev | null): void
  keep(tx: Transaction, facts: BlobFacts): void
  /** Removes the facts; places have rows of their own. */
  forget(tx: Transaction, id: BlobId): void
  bind(tx: Transaction, key: string, id: BlobId): void
  unbind(tx: Transaction, key: string): void
  /** Writes the row of one place, whoever it belonged to before. */
  locate(tx: Transaction, location: LocationFacts): void
  unlocate(tx: Transaction, place: Place): void
}

export interface NewJob extends Place {
  readonly op: 'put' | 'delete'
  readonly id: BlobId
  /** Bytes to move; 0 for a delete. */
  readonly size: number
}

export interface Job extends NewJob {
  readonly state: 'waiting' | 'running' | 'parked'
  /** Tries begun, counted before each. */
  readonly attempts: number
  /** Tries that never ended: their process died, or lost the lease. */
  readonly crashes?: number
  /** Milliseconds since the epoch. */
  readonly created: number
  /** When it may be tried next, in milliseconds since the epoch. */
  readonly due: number
  /** Of the last try. */
  readonly error?: Failure
}

/** A job that is ours until its lease ends. */
export interface Claimed extends Job {
  readonly lease: string
}

export interface JobFilter {
  readonly backend?: string
  readonly key?: string
  readonly id?: BlobId
  readonly state?: Job['state']
}

export interface JobCounts {
  readonly waiting: number
  readonly running: number
  readonly parked: number
  /** Still to be moved. */
  readonly bytes: number
}

/**
 * The durable queue. For one place there is at most one job running and one waiting behind it; a newer one replaces a waiting
 * or parked older one.
 */
export interface Queue {
  readonly ledger: Ledger
  enqueue(tx: Transaction, job: NewJob): void
  /** Whether a try of the job of a place, in whatever state, was begun: it may have landed. */
  begun(place: Place): Promise<boolean>
  /** Whether a newer job waits behind this one. */
  isOvertaken(job: Claimed): Promise<boolean>
  /** Guard: `begun` still answers this. */
  expectBegun(tx: Transaction, place: Place, begun: boolean): void
  /** Removes the job. Guard: the lease is still ours. */
  complete(tx: Transaction, job: Claimed): void
  /** Puts the job back, unless a newer one waits behind it; `free`: the try does not count. Guard: the lease is still ours. */
  retry(tx: Transaction, job: Claimed, o: { error: StorageError; afterMs: number; free?: boolean }): void
  /** Keeps the job, with its error, until `unpark`. Guard: the lease is still ours. */
  park(tx: Transaction, job: Claimed, error: StorageError): void
  /** @returns How many jobs wait again. */
  unpark(filter: JobFilter): Promise<number>
  /** Takes due jobs, the longest due first, in a commit of its own that also counts the attempt. */
  claim(backend: string, o: { max: number; leaseMs: number }): Promise<Claimed[]>
  /** @throws {StorageError} CONFLICT: the lease is lost; stop writing. */
  renew(job: Claimed, leaseMs: number): Promise<void>
  /**
   * Puts back what was claimed under leases that ended before `now`; without it, whatever was claimed: its process is gone.
   *
   * @returns How many.
   */
  recover(now?: number): Promise<number>
  /** When `claim` may next find a job, in milliseconds since the epoch; `null` when nothing waits. */
  nextDue(backend: string): Promise<number | null>
  jobs(filter: JobFilter): AsyncIterable<Job>
  /** By backend, without a scan. */
  counts(): Promise<Readonly<Record<string, JobCounts>>>
  /** Calls `listener` with the name of each backend whose jobs changed, after the commit. @returns A function that ends it. */
  onWork(listener: (backend: string) => void): () => void
}

/** Bytes received but not yet part of a commit. Disposed without `keep`, they are discarded. */
export interface Staged extends AsyncDisposable {
  readonly size: number
}

export interface Opened extends AsyncDisposable {
  /** Of the whole blob, in bytes. */
  readonly size: number
  readonly body: AsyncIterable<Uint8Array>
}

/** Bytes owed to a backend. Durable; nothing evicts them; `release` is the only way out. */
export interface Staging {
  readonly ledger: Ledger
  /**
   * Reads `source` once, to where nobody can see it. Durable when it resolves, or with the commit that keeps it. A chunk is valid
   * until the next but one is asked for.
   */
  receive(source: AsyncIterable<Uint8Array>, o: Op): Promise<Staged>
  keep(tx: Transaction, id: BlobId, staged: Staged): void
  release(tx: Transaction, id: BlobId): void
  has(id: BlobId): Promise<boolean>
  open(id: BlobId, o: Op & { offset?: number; length?: number }): Promise<Opened | null>
  close(): Promise<void>
}

/** One pass over the bytes, for any number of algorithms. */
export interface Hasher {
  update(chunk: Uint8Array): void
  /** Ends the pass. */
  digest(): Digests
}

export interface Checksums {
  /** SHA-256 is always among what it computes. */
  hasher(algorithms: readonly Algorithm[]): Hasher
}

/** The MIME type of a blob by its first bytes, else by the extension of its key, else of its path. */
export type MimeTypeOf = (head: Uint8Array, names: { key?: string | undefined; path?: string | undefined }) => string

export interface SyncTarget {
  readonly backend: GuardedBackend
  /** Jobs at a time. */
  readonly concurrency: number
  /** Write over what StoreD did not put there. */
  readonly overwrite: boolean
}

interface SyncProgress {
  readonly checksum: BlobId
  readonly backend: string
  readonly key: string
  /** Milliseconds since the epoch. */
  readonly time: number
}

export type SyncEvent =
  | (SyncProgress & { readonly type: 'sync:start'; readonly attempts: number })
  | (SyncProgress & {
      readonly type: 'sync:retry'
      readonly attempts: number
      readonly error: StorageError
      readonly afterMs: number
    })
  | (SyncProgress & { readonly type: 'sync:complete'; readonly seq: number; readonly op: 'put' | 'delete' })
  | (SyncProgress & { readonly type: 'sync:error'; readonly seq: number; readonly error: StorageError })

/** Empties the queue. In one process of a store at a time. */
export interface Syncer {
  /** Whether this process is the one that syncs. */
  readonly active: boolean
  add(target: SyncTarget): void
  /** Ends its jobs; they go on when it is added again. */
  remove(backend: string): Promise<void>
  onEvent(listener: (event: SyncEvent) => void): () => void
  /** Claims nothing more and gives running jobs 5 s. */
  close(): Promise<void>
}
