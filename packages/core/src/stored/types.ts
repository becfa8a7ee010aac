import type { Capabilities, LogEvent, StorageBackend } from '../backend/contract.ts'
import type { OwnPlace } from '../backend/one-medium.ts'
import type { Algorithm, BlobFacts, BlobId } from '../model/blob.ts'
import type { BadState, LocationState, Place } from '../model/copy.ts'
import type { DeleteEvent, Logged, PutEvent, SyncEvent } from '../model/event.ts'
import type { Failure } from '../model/failure.ts'
import type { JobCounts } from '../model/job.ts'
import type { Checksums, MimeTypeOf } from '../ports/checksums.ts'
import type { Index } from '../ports/index.ts'
import type { DiskUsage, Ledger } from '../ports/ledger.ts'
import type { Queue } from '../ports/queue.ts'
import type { CacheEntry, CacheStats, ReadCache } from '../ports/read-cache.ts'
import type { Staging, StagingUsage } from '../ports/staging.ts'
import type { BackendState, Syncer } from '../ports/syncer.ts'

/** One copy of a blob, as a record shows it. */
export interface RecordLocation extends Place {
  readonly synced: boolean
  /** `detached`: its backend is not configured. */
  readonly state: LocationState | 'detached'
  /** One object for all keys of the blob: layout `id`. */
  readonly shared?: boolean
  readonly etag?: string
  /** When the bytes were last confirmed, in milliseconds since the epoch. */
  readonly verified?: number
  readonly error?: Failure
}

/** What is known of a blob. */
export interface BlobRecord extends BlobFacts {
  /** By a key: its own copies, and those that all keys of the blob share. By an id: all copies. */
  readonly locations: readonly RecordLocation[]
}

export interface PutResult extends BlobRecord {
  readonly key: string
  /** Whether the store did not know these bytes before. */
  readonly isNew: boolean
}

/** Options of `put`. */
export interface PutOptions<Names extends string = string> {
  /** The caller's name for the blob. @default `<prefix>/sha256/ab/cd/<hash>` */
  key?: string
  /** Where copies shall be. @default the store's `defaultBackends` */
  backends?: readonly Names[]
  /** Merged into the record's `custom`, later wins. JSON values. */
  metadata?: Readonly<Record<string, unknown>>
  /** @default by the first bytes, else by the extension of key or path, else application/octet-stream */
  mimeType?: string
  /** Reject with ALREADY_EXISTS when the key is bound. */
  ifAbsent?: boolean
  /** Reject with PRECONDITION_FAILED unless the key is bound to this blob. */
  ifMatch?: BlobId
  /** What the bytes must turn out to be; otherwise nothing is stored. */
  expect?: { checksum?: BlobId; size?: number }
  signal?: AbortSignal
  /** Bytes read so far, and how many there will be where that is known. */
  onProgress?: (progress: { bytes: number; total: number | undefined }) => void
}

/** Options of `get`. */
export interface GetOptions<Names extends string = string> {
  /**
   * Read the copy there and no other: of a key its own, or the one that all keys share.
   *
   * @default staged bytes, else the read cache, else the first synced copy in the order of the configuration
   */
  backend?: Names
  /**
   * Read the copies there and no others: the first that there is, in this order, and the next one when it fails, unless `fallback`
   * is false. Not together with `backend`.
   */
  backends?: readonly Names[]
  /** Bytes from `offset`, 0-based; not verified. @default the whole blob, verified */
  range?: { offset?: number; length?: number }
  /**
   * Try the other copies when one fails: one that cannot be opened, and one whose bytes turn out wrong or break off as long as none of
   * them was given out. Of a Buffer, and of a stream of up to 64 KiB, that is at any time. A longer stream cannot take back what it
   * delivered: when its copy fails later, it ends with the error, whose `at.backend` is where that copy lies. Who can begin anew, since
   * nobody has seen the bytes yet, reads once more, with the other names as `backends`.
   *
   * @default false: the error names them; with `backends` true
   */
  fallback?: boolean
  signal?: AbortSignal
}

/** Options of `delete`. */
export interface DeleteOptions<Names extends string = string> {
  /** Drop the copies on these backends only; keys and other copies stay. */
  backends?: readonly Names[]
  /** Change nothing, and reject with what would refuse it. @default false */
  dryRun?: boolean
  signal?: AbortSignal
}

/** What `delete` did, and what is left to do in the background. */
export interface DeleteResult {
  /** Keys that are no longer bound. */
  readonly deleted: readonly string[]
  /** Backends that still have to be cleaned. */
  readonly pending: readonly string[]
}

/** Options of `repair`. */
export interface RepairOptions {
  signal?: AbortSignal
  /** Bytes of the good copy that were read so far, and how many there are. */
  onProgress?: (progress: { bytes: number; total: number }) => void
}

/** A copy that was found damaged, changed or gone before, and what became of it. */
export interface RepairedCopy extends Place {
  readonly was: LocationState
  /**
   * - `whole`: read again, it is what it should be, and `synced`
   * - `owed`: it is replaced by good bytes in the background, as after a put
   * - `overtaken`: somebody else put or deleted it meanwhile
   * - `failed`: it was left as it is, `error` says why
   */
  readonly outcome: 'whole' | 'owed' | 'overtaken' | 'failed'
  /** The key, on the same backend, under which that was kept which somebody had made of the copy. */
  readonly kept?: string
  readonly error?: Failure
}

/** What `repair` did. */
export interface RepairResult {
  readonly id: BlobId
  /** None when no copy was known to be bad. */
  readonly copies: readonly RepairedCopy[]
}

/** A copy that was given up, or whose removal was. */
export interface ForgottenCopy extends Place {
  readonly id: BlobId
  /** `deleting`: it was to be removed. */
  readonly was: LocationState
}

/** Options of `forget`. */
export interface ForgetOptions {
  /** Change nothing, and reject with what would refuse it. @default false */
  dryRun?: boolean
}

/** Options of `list`. */
export interface ListOptions<Names extends string = string> {
  /** Only keys with a copy there. */
  backend?: Names
  prefix?: string
  /** At most so many. */
  limit?: number
  /** Only keys that sort after this one. */
  after?: string
  /** Also keys of blobs of which every copy was found missing; `has` calls these absent. @default false */
  missing?: boolean
  signal?: AbortSignal
}

export interface ListEntry extends BlobRecord {
  readonly key: string
}

/** What `synced` waits for. */
export interface SyncedOptions<Names extends string = string> {
  /** Of one blob or key: resolve as soon as so many copies are synced. */
  copies?: number
  /** Only these. @default all that are configured */
  backends?: readonly Names[]
  signal?: AbortSignal
}

/** Options of `events`. */
export interface EventsOptions {
  /** The `seq` of the last event that was dealt with. @default from the oldest that is kept */
  since?: number
  /**
   * Go on with what comes, until `signal` is aborted, the loop is left or the store closes. What other processes commit is heard
   * of while one of them, or this one, syncs. @default false
   */
  follow?: boolean
  signal?: AbortSignal
}

/** Options of `verify`. */
export interface VerifyOptions<Names extends string = string> {
  /** Only copies there. @default all that are configured */
  backend?: Names
  /** Only copies whose key on the backend begins so. */
  prefix?: string
  /** Go on behind the result with this cursor. */
  after?: string
  /**
   * Which part of the blobs to read, above 0 and up to 1. Each day (UTC) it is another one: whoever reads a tenth every day has
   * read every blob after ten. @default 1
   */
  sample?: number
  /** Bytes read in a second at most, by the whole call. A chunk is read at once, and waited for afterwards. @default no limit */
  maxBytesPerSecond?: number
  signal?: AbortSignal
}

/** A copy that was read, or could not be. */
export interface VerifiedCopy extends Place {
  readonly checksum: BlobId
  /** Of the blob, in bytes. */
  readonly size: number
  /** Afterwards: `synced` when the copy is whole. */
  readonly state: LocationState
  /** `false`: nothing could be told of the copy, `error` says why, and its state was left as it was. */
  readonly checked: boolean
  readonly error?: Failure
  /** For `after`. */
  readonly cursor: string
}

/** A backend of which the rest was left out, since so many copies in a row could not be read. */
export interface SkippedBackend {
  readonly backend: string
  readonly key: null
  readonly checked: false
  readonly error: Failure
  /** With it as `after`, the rest of this backend comes first. */
  readonly cursor: string
}

/** What `verify` found. */
export type VerifyResult = VerifiedCopy | SkippedBackend

/** A backend and how the store uses it. */
export interface BackendOptions {
  backend: StorageBackend
  /** `key`: an object for each key, at that key. `id`: an object for each blob, at `<prefix>/sha256/ab/cd/<hash>`. @default 'key' */
  layout?: 'key' | 'id'
  /** Write over what StoreD did not put there. @default false */
  overwrite?: boolean
  /** Jobs at a time. @default what the driver allows, at most 16 */
  concurrency?: number
  /** Bytes of the jobs under way at a time, together; a larger one goes alone. @default 1 GiB */
  bytesInFlight?: number
  /** No byte either way for so long is a stall and ends the call with TIMEOUT, in milliseconds. @default 60,000 */
  idleTimeoutMs?: number
}

export interface BackendInfo extends BackendState {
  readonly name: string
  readonly driver: string
  readonly capabilities: Capabilities
  readonly layout: 'key' | 'id'
  /** What lay there when it was first opened, where its driver tells: another one is refused. */
  readonly medium?: string
  readonly jobs: JobCounts
  /** How many copies stand badly there, by state. Counted up to 1,000 of each: that many means at least so many. */
  readonly bad: Readonly<Partial<Record<BadState, number>>>
}

/** How a store fares: what is synced by whom, owed, staged and known to be bad. */
export interface StoreStatus {
  /** Which process brings copies to their backends: this one, another one that it hears of, or none. */
  readonly syncing: 'here' | 'elsewhere' | 'nowhere'
  readonly backends: readonly BackendInfo[]
  /** Jobs of backends that are not configured, by name: they wait until one of that name is. */
  readonly detached: Readonly<Record<string, JobCounts>>
  readonly staging: StagingUsage
  /** Why nothing can be written any more until the store is opened anew; `null` while all is well. */
  readonly degraded: Failure | null
  /** The disk of the store: puts are refused once no more is free than they leave. */
  readonly disk: DiskUsage | null
}

/** The disk failed under the index. Once in the life of a store that is open. */
export interface DegradedEvent {
  readonly type: 'degraded'
  readonly error: Failure
  /** Milliseconds since the epoch. */
  readonly time: number
}

/**
 * What a driver, or the guard before it, has to say to operators: what it left out of a listing, what it could not clean up, what it tries
 * again. In no case a secret, nor anything that has to be acted on: that rejects. Only live, and only in the process that uses the
 * backend; at most a hundred a minute of each backend and level. The first listener also hears what was said before it came.
 */
export interface BackendLogEvent extends LogEvent {
  readonly type: 'log'
  readonly backend: string
  /** Milliseconds since the epoch. */
  readonly time: number
}

/** What `on` hears. */
export type StoreEvent = Logged<PutEvent> | Logged<DeleteEvent> | SyncEvent | DegradedEvent | BackendLogEvent

/** The event of one type. */
export type StoreEventOf<Type extends StoreEvent['type']> = Extract<StoreEvent, { type: Type }>

/** What was evicted. */
export interface EvictResult {
  readonly entries: number
  /** Of their bodies. */
  readonly bytes: number
}

/** The read cache of a store: bytes fetched from backends that are not local. Without one it is empty, with a `maxSize` of 0. */
export interface StoreCache {
  stats(): Promise<CacheStats>
  /**
   * Removes entries.
   *
   * @param which `oldest`: the one that would go first · `oversized`: those above a quarter of `maxSize`, which would not enter
   *   any more · else a pattern that the id, or a key bound to it, matches as a whole; `*` stands for any characters, also for
   *   `/` · a RegExp that the id or such a key matches.
   * @throws {StorageError} INVALID_ARGUMENT.
   */
  evict(which: 'oldest' | 'oversized' | (string & {}) | RegExp): Promise<EvictResult>
  /** What `evict` would remove now. */
  evictable(which: 'oldest' | 'oversized' | (string & {}) | RegExp): Promise<readonly CacheEntry[]>
  clear(): Promise<void>
}

/** What a store is made of. `@stored/node` wires it. */
export interface StoreDOptions<Names extends string> {
  ledger: Ledger
  index: Index
  queue: Queue
  staging: Staging
  /** @default none */
  cache?: ReadCache | undefined
  syncer: Syncer
  checksums: Checksums
  mimeTypeOf: MimeTypeOf
  backends: Readonly<Record<Names, BackendOptions>>
  /** @default all backends */
  defaultBackends?: readonly Names[] | undefined
  /** Beside SHA-256. @default none */
  algorithms?: readonly Algorithm[] | undefined
  /** Of the objects of layout `id`, and of keys that the caller does not choose. @default 'blobs' */
  prefix?: string | undefined
  /** What a put does while staging is full: wait for room, in turn, or reject with STAGING_FULL. @default 'wait' */
  whenFull?: 'wait' | 'refuse' | undefined
  /** The directories of the store itself, from which the mediums of all backends lie apart. @default none are known */
  own?: readonly OwnPlace[] | undefined
}
