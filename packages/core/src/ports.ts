// What the store needs of its services; how each is kept is the implementation's business. Types only.
import type { Op } from './backend/contract.ts'
import type { StorageError, StorageErrorCode } from './backend/error.ts'
import type { GuardedBackend } from './guard/guarded-backend.ts'

/** A blob's name: its SHA-256, in lower-case hex. */
export type BlobId = `sha256:${string}`

declare const revision: unique symbol
/** Stands for one state of a row, and changes with every change of it. Opaque. */
export type Rev = string & { readonly [revision]: true }

/** A checksum that StoreD computes; `sha256` names the blob. */
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
  /** What puts leave free, for what frees space. */
  readonly reserve: number
  /** What the ballast lacks, room for which puts leave as well: without it a full disk keeps the store from being opened. */
  readonly missingBallast: number
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

/** A copy that stands so is not what it shall be, and stays so until somebody sees to it. */
export type BadState = Extract<LocationState, 'failed' | 'conflict' | 'missing' | 'corrupt' | 'unknown'>

/** What a backend last confirmed to hold at a place, written there by StoreD. */
export interface Held {
  readonly id: BlobId
  readonly etag?: string
}

/** What is remembered of a StorageError. */
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
  /** Blobs of ours whose write was begun and never confirmed: what lies there may be one of them. */
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
  /** Changes with the facts alone. */
  readonly factsRev: Rev
}

/** Whether a place still needs the blob's bytes from us, holds them, or neither. */
export type Standing = 'owing' | 'synced' | 'neither'

/** Any place of a blob that stands so, but for a few. */
export interface SomePlace {
  readonly id: BlobId
  readonly standing: Standing
  readonly except?: readonly Place[]
}

/** A key, and the blob it stands for. */
export interface Binding {
  readonly key: string
  readonly id: BlobId
  readonly rev: Rev
}

/** What was read: a binding, a blob with all its places, its facts alone, or one place. */
export type Read = { key: string } | { id: BlobId } | { facts: BlobId } | { place: Place }

/** The canonical truth: blobs, their places and their keys. */
export interface Index {
  readonly ledger: Ledger
  binding(key: string): Promise<Binding | null>
  /** Whether `known` has an answer. */
  has(id: BlobId): Promise<boolean>
  /** @returns `null` also for a blob of which only places being cleaned are left. */
  known(id: BlobId): Promise<Known | null>
  location(place: Place): Promise<Location | null>
  /** Whether there is such a place: as cheap for a blob with thousands of places as for one with two. */
  hasPlace(some: SomePlace): Promise<boolean>
  /** Keys bound to `id`, in UTF-8 order. */
  keys(id: BlobId, o?: { signal?: AbortSignal | undefined }): AsyncIterable<string>
  /** Bindings in UTF-8 order of their keys. */
  bindings(o: Op & { prefix?: string; after?: string }): AsyncIterable<Binding>
  /** Locations on one backend, in UTF-8 order of their keys. */
  located(o: Op & { backend: string; prefix?: string; after?: string }): AsyncIterable<Location>
  /** Keys of copies on one backend that stand so, in UTF-8 order, at most `limit`. Reads these alone, however many others there are. */
  bad(o: { backend: string; state: BadState; limit: number }): Promise<readonly string[]>
  /** Guard: this row is as it was read; `null`: it is absent. */
  expect(tx: Transaction, what: Read, rev: Rev | null): void
  /** Guard: `hasPlace` still answers this. Workers that settle places of one blob side by side leave it true. */
  expectPlace(tx: Transaction, some: SomePlace, answer: boolean): void
  keep(tx: Transaction, facts: BlobFacts): void
  /** Removes the facts; places have rows of their own. */
  forget(tx: Transaction, id: BlobId): void
  bind(tx: Transaction, key: string, id: BlobId): void
  unbind(tx: Transaction, key: string): void
  /** Writes the row of one place, whoever it belonged to before. */
  locate(tx: Transaction, location: LocationFacts): void
  unlocate(tx: Transaction, place: Place): void
  /** Which medium lay at a backend when it was first opened; `null` before. */
  medium(backend: string): Promise<string | null>
  setMedium(tx: Transaction, backend: string, medium: string | null): void
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
  /** Tries that may have killed their process, see `recover`. */
  readonly crashes?: number
  /** A try was begun and did not complete: it may have landed. */
  readonly begun?: true
  /** Of the commit that queued it. */
  readonly seq: number
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
  /** It ran beside others when its process died: let none of those with `crashes` run beside it. */
  readonly alone?: true
  /** It was parked, and is tried again all the same. */
  readonly retrial?: true
  /** Text of the driver's that lets this try go on where the last one ended: not for events, nor for people. */
  readonly checkpoint?: string
}

/** Which jobs are meant. */
export interface JobFilter {
  readonly backend?: string
  readonly key?: string
  readonly id?: BlobId
  readonly state?: Job['state']
  /** Ends looking for them. */
  readonly signal?: AbortSignal
}

/** How many jobs a backend has, by state. */
export interface JobCounts {
  readonly waiting: number
  readonly running: number
  readonly parked: number
  /** Still to be moved. */
  readonly bytes: number
  /** When the oldest job that waits or runs was queued, in milliseconds since the epoch. */
  readonly oldest?: number
}

/**
 * The durable queue. For one place there is at most one job running and one waiting behind it; a newer one replaces a waiting
 * or parked older one.
 */
export interface Queue {
  readonly ledger: Ledger
  enqueue(tx: Transaction, job: NewJob): void
  /** Removes the job that waits or is parked for a place, if there is one. Guard: none is running there. */
  drop(tx: Transaction, place: Place): void
  /** Whether a try of the job of a place, in whatever state, was begun: it may have landed. */
  begun(place: Place): Promise<boolean>
  /** Whether a newer job waits behind this one. */
  isOvertaken(job: Claimed): Promise<boolean>
  /** Guard: `begun` still answers this. */
  expectBegun(tx: Transaction, place: Place, begun: boolean): void
  /** Removes the job. Guard: the lease is still ours. */
  complete(tx: Transaction, job: Claimed): void
  /**
   * Keeps what lets the next try of the job go on where this one ends, in a commit of its own. It goes with the job, by `park`,
   * and when a newer job takes its place. A text other than the last is progress: crashes before it count no more.
   *
   * @throws {StorageError} CONFLICT: the lease is lost; stop writing.
   */
  keepCheckpoint(job: Claimed, checkpoint: string): Promise<void>
  /**
   * Puts the job back after a try, unless a newer one waits behind it. Guard: the lease is still ours.
   *
   * @param o.error What the try failed with. @default it was cut off; what the job noted of the try before holds
   * @param o.free The try does not count.
   * @param o.anew The next try begins anew: the checkpoint is dropped.
   */
  retry(
    tx: Transaction,
    job: Claimed,
    o: { error?: StorageError; afterMs: number; free?: boolean; anew?: boolean },
  ): void
  /** Puts the job back as if it had not been claimed. Guard: the lease is still ours. */
  giveBack(tx: Transaction, job: Claimed): void
  /**
   * Keeps the job, with its error, until `unpark`. INVALID_KEY came before anything was written: this try is then none that was
   * begun. Guard: the lease is still ours.
   *
   * @param o.retrialAfterMs When `claim` may take it again, as a `retrial`. @default never
   */
  park(tx: Transaction, job: Claimed, error: StorageError, o?: { retrialAfterMs?: number }): void
  /** Lets the parked job of a place wait again, due at once, its attempts forgotten; nothing where there is none. */
  unpark(tx: Transaction, place: Place): void
  /**
   * Takes due jobs, the longest due first, in a commit of its own that also counts the attempt; none while the backend is paused.
   *
   * @param o.key This one alone, if it is due.
   * @param o.guard More guards of that commit: whether the claimer still has the right to.
   * @throws {StorageError} CONFLICT: a guard failed.
   */
  claim(
    backend: string,
    o: { max: number; leaseMs: number; key?: string; guard?: (tx: Transaction) => void },
  ): Promise<Claimed[]>
  /**
   * The key of the due job of the least nearness, of several the one longest due. Reads as many as it takes to find one of nearness 0.
   *
   * @param o.since Leaves out what fell due before, in milliseconds since the epoch.
   * @param o.nearness `Infinity` for a job that is not to be chosen.
   * @returns `null` when there is none.
   */
  choose(backend: string, o: { since: number; nearness: (job: Job) => number }): Promise<string | null>
  /** Notes durably that a try begins: if it never ends, `recover` counts a crash. Needed for jobs with `crashes` only. */
  mark(job: Claimed, leaseMs: number): Promise<void>
  /** @throws {StorageError} CONFLICT: the lease is lost; stop writing. */
  renew(job: Claimed, leaseMs: number): Promise<void>
  /**
   * Puts back what was claimed under leases that ended before `now`; without it, whatever was claimed: its process is gone. What
   * is settled meanwhile after all is left out.
   *
   * A process that is gone may have been killed by a job. Each that ran has crashed once; from then on, only one that was marked and
   * no other beside it. Nobody crashed if the machine was started since, nor did what had run for a minute.
   *
   * @param o.boot Names the time since the machine was started; kept for the next call.
   * @param o.guard More guards of these commits: whether the caller still has the right to.
   * @returns How many.
   * @throws {StorageError} CONFLICT: such a guard failed.
   */
  recover(now?: number, o?: { guard?: (tx: Transaction) => void; boot?: string }): Promise<number>
  /** Claims nothing more for a backend, in no process, until `resume`. Durable; safe to repeat. */
  pause(backend: string): Promise<void>
  /**
   * Ends the pause, if there is one, and lets all that waits for a later try be due now. That is done in commits of some hundred jobs
   * each: others get their turn between them.
   */
  resume(backend: string): Promise<void>
  isPaused(backend: string): Promise<boolean>
  /** The commit of the last `resume`, unless it is paused; 0 before the first. */
  resumed(backend: string): Promise<number>
  /** When `claim` may next find a job, in milliseconds since the epoch; `null` when nothing waits, or the backend is paused. */
  nextDue(backend: string): Promise<number | null>
  /** Those that run, those that are parked, then those that wait, of each backend in the order they were queued. */
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

/** Bytes that were opened for reading. Whoever opened them disposes of them. */
export interface Opened extends AsyncDisposable {
  /** Of the whole blob, in bytes. */
  readonly size: number
  readonly body: AsyncIterable<Uint8Array>
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
  receive(
    source: AsyncIterable<Uint8Array>,
    o: Op & { size?: number | undefined; whenFull: 'wait' | 'refuse' },
  ): Promise<Staged>
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
  has(id: BlobId): Promise<boolean>
  open(id: BlobId, o: Op & { offset?: number; length?: number }): Promise<OpenedStaged | null>
  /** Rejects who waits for room, with CLOSED. What is kept can be read and released until the ledger is closed. */
  close(): Promise<void>
}

/** What a read cache holds, and what it was good for since it was opened. */
export interface CacheStats {
  readonly entries: number
  /** Of their bodies together, in bytes. */
  readonly size: number
  readonly maxSize: number
  readonly hits: number
  readonly misses: number
  /** Delivered from the cache. */
  readonly bytes: number
}

/** What lies in a read cache; it may be damaged. */
export interface CachedBlob extends Opened {
  /** SHA-256, in hex, of the first `every` bytes, of twice as many and so on: damage is found before it is delivered. */
  readonly prefixes?: { readonly every: number; readonly digests: readonly string[] }
}

/** `oldest`: the one that would go first. `oversized`: those that would not enter any more. */
export type EvictChoice = 'oldest' | 'oversized' | ((id: BlobId) => boolean | Promise<boolean>)

/** A body in the read cache. */
export interface CacheEntry {
  readonly id: BlobId
  /** In bytes. */
  readonly size: number
}

/**
 * Bytes that can be fetched again. It may forget anything at any time, and no failure of it is one of the read it serves: what it
 * cannot do is a miss, or not kept.
 */
export interface ReadCache {
  /**
   * @returns `null` when it is not there. The body of a whole blob is for the caller to verify; that of a range throws before it
   *   delivers damaged bytes.
   */
  open(id: BlobId, o: Op & { offset?: number; length?: number }): Promise<CachedBlob | null>
  /**
   * The chunks of `body`, which is kept when it comes to its end; it must be verified by then.
   * Writing never makes the reader wait: what cannot keep up is given up.
   */
  fill(id: BlobId, body: AsyncIterable<Uint8Array>, size: number): AsyncIterable<Uint8Array>
  drop(id: BlobId): Promise<void>
  stats(): Promise<CacheStats>
  evict(which: EvictChoice): Promise<{ entries: number; bytes: number }>
  /** What `evict` would remove now. */
  evictable(which: EvictChoice): Promise<CacheEntry[]>
  clear(): Promise<void>
  close(): Promise<void>
}

/** One pass over the bytes, for any number of algorithms. */
export interface Hasher {
  update(chunk: Uint8Array): void
  /** Ends the pass. */
  digest(): Digests
}

/** Computes checksums. */
export interface Checksums {
  /** SHA-256 is always among what it computes. */
  hasher(algorithms: readonly Algorithm[]): Hasher
}

/** The MIME type of a blob by its first bytes, else by the extension of its key, else of its path. */
export type MimeTypeOf = (head: Uint8Array, names: { key?: string | undefined; path?: string | undefined }) => string

/** A backend that jobs are done for. */
export interface SyncTarget {
  readonly backend: GuardedBackend
  /** Jobs at a time. */
  readonly concurrency: number
  /** Of the jobs under way at a time, together; a larger one goes alone. */
  readonly bytesInFlight: number
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

/** What syncing a copy came to. */
export type SyncEvent =
  | (SyncProgress & { readonly type: 'sync:start'; readonly attempts: number })
  | (SyncProgress & {
      readonly type: 'sync:retry'
      readonly attempts: number
      readonly error: Failure
      readonly afterMs: number
    })
  | Logged<SyncOutcome>

/** How a job ended: done, or parked with its error. */
export type SyncOutcome =
  | (SyncProgress & { readonly type: 'sync:complete'; readonly op: 'put' | 'delete' })
  | (SyncProgress & { readonly type: 'sync:error'; readonly op: 'put' | 'delete'; readonly error: Failure })

/** A key was bound to a blob. */
export interface PutEvent {
  readonly type: 'put'
  readonly checksum: BlobId
  readonly key: string
  /** In bytes. */
  readonly size: number
  /** Whether the store did not know these bytes before. */
  readonly isNew: boolean
  /** Milliseconds since the epoch. */
  readonly time: number
}

/** Keys were unbound, or copies given up. */
export interface DeleteEvent {
  readonly type: 'delete'
  readonly checksum: BlobId
  readonly keys: readonly string[]
  readonly time: number
}

/** What is kept in the log, for consumers that were away. */
export type DurableEvent = PutEvent | DeleteEvent | SyncOutcome

/** An event with the number of its commit: later ones have higher numbers. */
export type Logged<Event> = Event & { readonly seq: number }

/**
 * How a backend fares, as the syncing process sees it.
 *
 * - `ok`: jobs run
 * - `paused`: by `pause`, until `resume`
 * - `failing`: it failed too often; one job at a time probes it
 * - `unusable`: credentials, configuration, quota or root: probed likewise, and by `resume`
 * - `unknown`: another process syncs, or none
 */
export interface BackendState {
  readonly state: 'ok' | 'paused' | 'failing' | 'unusable' | 'unknown'
  /** What it last failed with. */
  readonly error?: Failure
  /** When it is tried again, in milliseconds since the epoch. */
  readonly retryAt?: number
}

/** Empties the queue. In one process of a store at a time. */
export interface Syncer {
  /** Whether this process is the one that syncs. */
  readonly active: boolean
  /** Whether some process syncs: this one, or one it hears of. */
  readonly attended: boolean
  add(target: SyncTarget): void
  /** Ends its jobs; they go on when it is added again. */
  remove(backend: string): Promise<void>
  state(backend: string): Promise<BackendState>
  onEvent(listener: (event: SyncEvent) => void): () => void
  /** Tells other processes that something was committed here. */
  ring(): void
  /** Calls `listener` when another process committed something. @returns A function that ends it. */
  onRing(listener: () => void): () => void
  /** Claims nothing more and gives running jobs 5 s. */
  close(): Promise<void>
}
