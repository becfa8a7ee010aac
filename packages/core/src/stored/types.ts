import type { Readable } from 'node:stream'
import type { Capabilities, LogEvent, StorageBackend } from '../backend/contract.ts'
import type { OwnPlace } from '../backend/one-medium.ts'
import type { Algorithm, BlobFacts, BlobId, Digests } from '../model/blob.ts'
import type { BadState, LocationState, Place } from '../model/copy.ts'
import type { DeleteEvent, ExtensionEvent, Logged, Position, PutEvent, SyncEvent } from '../model/event.ts'
import type { Failure } from '../model/failure.ts'
import type { JobCounts } from '../model/job.ts'
import type { KeyFacts } from '../model/key.ts'
import type { Checksums, MimeTypeOf } from '../ports/checksums.ts'
import type { Index } from '../ports/index.ts'
import type { DiskUsage, Ledger, Transaction } from '../ports/ledger.ts'
import type { Queue } from '../ports/queue.ts'
import type { CacheEntry, CacheStats, ReadCache } from '../ports/read-cache.ts'
import type { Staging, StagingUsage } from '../ports/staging.ts'
import type { BackendState, Syncer } from '../ports/syncer.ts'

/** One copy of a blob, as a record shows it. */
export interface RecordLocation extends Place {
  readonly synced: boolean
  /** `detached`: its backend is not configured. */
  readonly state: LocationState | 'detached'
  /** Whether all keys of the blob share this one object: layout `id`. */
  readonly shared?: boolean
  readonly etag?: string
  /** When the bytes were last confirmed, in milliseconds since the epoch. */
  readonly verified?: number
  readonly error?: Failure
}

/**
 * Everything known about a key and its blob. Checksums and size are the blob's; type, fields and times are the key's, and those of other keys of the
 * same blob are their own. For an id they are those of the key that the blob has by its id, else of its first key.
 */
export interface BlobRecord extends BlobFacts, KeyFacts {
  /** The key whose facts these are. Absent for an id of which only packages have keys: then the type is application/octet-stream, and `custom` is empty. */
  readonly key?: string
  /** Changes with each change of the key, never by syncing: `ifMatch` takes it. Opaque. */
  readonly version?: string
  /** The package that the key belongs to. @default none: it is one of the caller's */
  readonly owner?: string
  /** For a key: its own copies, and those that all keys of the blob share. For an id: those, and up to 100 others. */
  readonly locations: readonly RecordLocation[]
  /** The id has more copies: `copies` lists all of them. */
  readonly more?: true
}

/** What `put` stored. */
export interface PutResult extends BlobRecord {
  readonly key: string
  readonly version: string
  /** Whether these bytes were new to the store. */
  readonly isNew: boolean
}

/** What a key must be for a change of it: bound to a blob, or unchanged since its record said this version. */
export type KeyMatch = BlobId | { readonly version: string }

/** Bytes that `receive` read: held durably where nobody can see them, until they are committed or let go. */
export interface Received extends AsyncDisposable {
  readonly id: BlobId
  /** In bytes. */
  readonly size: number
  /** In lower-case hex: SHA-256 and what the store computes beside it. */
  readonly digests: Digests
  /** The first bytes, up to 4,100: enough to tell the MIME type. */
  readonly head: Uint8Array
}

/** Options of `receive`. */
export interface ReceiveOptions {
  /** What the bytes must be; otherwise nothing is kept. */
  expect?: { checksum?: BlobId; size?: number }
  /**
   * Checksums to compute in the same pass, beside those that the store computes of every blob. They join those that the blob has
   * already; `expect.checksum` is always its SHA-256.
   */
  checksums?: readonly Algorithm[]
  /** What to do while staging is full: wait for space, in turn, or reject with STAGING_FULL. @default the store's `whenFull` */
  whenFull?: 'wait' | 'refuse'
  signal?: AbortSignal
  /** Bytes read so far, and the total if it is known. */
  onProgress?: (progress: { bytes: number; total: number | undefined }) => void
}

/** What a caller may add to a commit. */
export interface AlsoOptions {
  /**
   * Called inside the commit: what it writes into tables of an extension, and records, is committed together with the call, or not at all.
   * It is a pure and synchronous function of the rows that it reads, may run several times, and only its last run counts. It must not call
   * a store. If it throws, nothing is committed and the call rejects with exactly that error.
   */
  also?: (tx: Transaction) => void
}

/** Options of `commit`. */
export interface CommitOptions<Names extends string = string> extends AlsoOptions {
  /** The caller's name for the blob. @default `<prefix>/sha256/ab/cd/<hash>` */
  key?: string
  /** Where copies should go. @default the store's `defaultBackends` */
  backends?: readonly Names[]
  /**
   * JSON values: fields of the key's `custom`. Under a key that has these bytes already they are merged into it, field by field; a field
   * that is `null` is removed. With other bytes a key begins without fields.
   */
  metadata?: Readonly<Record<string, unknown>>
  /** Remove all fields that `metadata` does not name. @default false */
  replaceMetadata?: boolean
  /**
   * @default for a key that has these bytes already, the type that it has; else from the first bytes, else from the extension of key or
   * path, else application/octet-stream
   */
  mimeType?: string
  /** Reject with ALREADY_EXISTS if the key is bound. */
  ifAbsent?: boolean
  /** Reject with PRECONDITION_FAILED unless the key is bound to this blob, or has this `version`. */
  ifMatch?: KeyMatch
  signal?: AbortSignal
}

/** Options of `link`. */
export interface LinkOptions<Names extends string = string> extends Omit<CommitOptions<Names>, 'key'> {}

/** Options of `put`. */
export interface PutOptions<Names extends string = string> extends ReceiveOptions, CommitOptions<Names> {}

/** Options of `get`. */
export interface GetOptions<Names extends string = string> {
  /**
   * Read only the copy there. For a key, that is its own copy or the one that all keys share.
   *
   * @default staged bytes, else the read cache, else the first synced copy in the order of the configuration
   */
  backend?: Names
  /**
   * Read only the copies there: the first that exists, in this order, and the next one if it fails, unless `fallback` is false.
   * Excludes `backend`.
   */
  backends?: readonly Names[]
  /** Bytes from `offset`, 0-based; not verified. @default the whole blob, verified */
  range?: BlobRange
  /**
   * Try the other copies if one fails: if it cannot be opened, or if its bytes are wrong or break off before any were delivered.
   * For a Buffer, or a stream of up to 64 KiB, that covers every failure. A longer stream cannot take back what it has delivered: if
   * its copy fails later, it ends with the error, whose `at.backend` names the backend. If nobody has used the bytes yet, read again
   * with the other names as `backends`.
   *
   * @default true with `backends`, otherwise false: the error names the other copies
   */
  fallback?: boolean
  signal?: AbortSignal
}

/** Bytes from `offset`, 0-based. */
export interface BlobRange {
  /** @default 0 */
  offset?: number
  /** @default up to the end */
  length?: number
}

/** Options of `open`. */
export interface OpenOptions<Names extends string = string> extends Omit<GetOptions<Names>, 'range'> {
  /**
   * Bytes to read; not verified. A function chooses them by the record, such as for the last bytes, or by a condition. It may be called
   * more than once; if it throws, `open` rejects with exactly that. @default the whole blob, verified
   */
  range?: BlobRange | ((record: BlobRecord) => BlobRange | undefined)
}

/** A blob that was opened. */
export interface OpenedBlob {
  /** As `stat` shows it, of the moment that the copy was chosen in. The bytes are those of its id. */
  readonly record: BlobRecord
  /** The bytes that `body` delivers, within those of the blob. */
  readonly range: { readonly offset: number; readonly length: number }
  /** To be read to its end or destroyed. */
  readonly body: Readable
}

/** Options of `delete`. */
export interface DeleteOptions<Names extends string = string> extends AlsoOptions {
  /**
   * Drop only the copies on these backends. Keys and other copies stay. A copy that keys share goes once none of them wants it there: for
   * a key, others may.
   */
  backends?: readonly Names[]
  /** Reject with PRECONDITION_FAILED unless the key is bound to this blob, or has this `version`. Only for a key. */
  ifMatch?: KeyMatch
  /** Change nothing, and reject with what would refuse it. @default false */
  dryRun?: boolean
  signal?: AbortSignal
}

/** Options of `copies`. */
export interface CopiesOptions {
  signal?: AbortSignal
}

/** What `delete` did, and what remains to be done in the background. */
export interface DeleteResult {
  /** Keys that this call unbound. Of an id with more than 100, the process that syncs may remove some: only events name those. */
  readonly deleted: readonly string[]
  /** Backends that still hold objects to be removed. */
  readonly pending: readonly string[]
}

/** Options of `repair`. */
export interface RepairOptions {
  signal?: AbortSignal
  /** Bytes of the good copy read so far, and the total. */
  onProgress?: (progress: { bytes: number; total: number }) => void
}

/** What became of a copy that was found damaged, changed or missing. */
export interface RepairedCopy extends Place {
  readonly was: LocationState
  /**
   * - `whole`: a second read found it whole; it is `synced`
   * - `owed`: good bytes replace it in the background, as after a put
   * - `overtaken`: somebody else put or deleted it in the meantime
   * - `failed`: it was left as it is; `error` says why
   */
  readonly outcome: 'whole' | 'owed' | 'overtaken' | 'failed'
  /** The key on the same backend under which the changed object was kept. */
  readonly kept?: string
  readonly error?: Failure
}

/** What `repair` did. */
export interface RepairResult {
  readonly id: BlobId
  /** Empty if no copy was known to be bad. */
  readonly copies: readonly RepairedCopy[]
}

/** A copy that was given up, or whose removal was given up. */
export interface ForgottenCopy extends Place {
  readonly id: BlobId
  /** `deleting`: the copy was waiting for its removal. */
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
  /** Maximum number of keys. */
  limit?: number
  /** Only keys that sort after this one. */
  after?: string
  /** Include keys of blobs whose every copy was found missing; `has` calls these absent. @default false */
  missing?: boolean
  /** Include keys that belong to packages, each with its `owner`. @default false */
  internal?: boolean
  signal?: AbortSignal
}

/** A key and its record, as `list` yields them. Its SHA-256 is in `id`; `stat` shows other checksums of the blob. */
export interface ListEntry extends Omit<BlobRecord, 'checksums' | 'more'> {
  readonly key: string
  readonly version: string
}

/** What `synced` waits for. */
export interface SyncedOptions<Names extends string = string> {
  /** For one blob or key: resolve as soon as this many copies are synced. */
  copies?: number
  /** Only these. @default all configured backends */
  backends?: readonly Names[]
  signal?: AbortSignal
}

/** Options of `events`. */
export interface EventsOptions {
  /** The `position` of the last event that you handled; a `seq` is taken too. @default start from the oldest event that is kept */
  since?: Position | number
  /**
   * Continue with new events until `signal` is aborted, the loop is left or the store closes. Events of other processes arrive while
   * one of them, or this process, syncs. @default false
   */
  follow?: boolean
  signal?: AbortSignal
}

/** Options of `verify`. */
export interface VerifyOptions<Names extends string = string> {
  /** Only copies there. @default all configured backends */
  backend?: Names
  /** Only copies whose key on the backend starts with this. */
  prefix?: string
  /** Continue after the result with this cursor. */
  after?: string
  /**
   * The part of the blobs to read, above 0 and up to 1. Each day (UTC) reads a different part: a tenth every day covers every blob
   * in ten days. @default 1
   */
  sample?: number
  /** Maximum bytes a second, for the whole call. It reads a chunk at once and then pauses. @default no limit */
  maxBytesPerSecond?: number
  signal?: AbortSignal
}

/** A copy that `verify` read, or could not read. */
export interface VerifiedCopy extends Place {
  readonly checksum: BlobId
  /** All that are known of the blob. The copy was compared with its SHA-256. */
  readonly checksums: Digests
  /** Size of the blob, in bytes. */
  readonly size: number
  /** The state after the read: `synced` if the copy is whole. */
  readonly state: LocationState
  /** `false`: the copy could not be judged; `error` says why, and its state is unchanged. */
  readonly checked: boolean
  readonly error?: Failure
  /** Pass it as `after` to continue behind this copy. */
  readonly cursor: string
}

/** A backend whose remaining copies were skipped, because too many in a row could not be read. */
export interface SkippedBackend {
  readonly backend: string
  readonly key: null
  readonly checked: false
  readonly error: Failure
  /** Pass it as `after` to start with the rest of this backend. */
  readonly cursor: string
}

/** What `verify` found. */
export type VerifyResult = VerifiedCopy | SkippedBackend

/** A backend and how the store uses it. */
export interface BackendOptions {
  backend: StorageBackend
  /**
   * `key`: one object per key, at that key. `id`: one object per blob, at `<prefix>/sha256/ab/cd/<hash>`.
   *
   * @default 'key'
   */
  layout?: 'key' | 'id'
  /** Overwrite what StoreD did not put there. @default false */
  overwrite?: boolean
  /** Concurrent jobs. @default what the driver allows, at most 16 */
  concurrency?: number
  /** Bytes of all running jobs together. A larger job runs alone. @default 1 GiB */
  bytesInFlight?: number
  /** A call in which no byte moves for this many milliseconds ends with TIMEOUT. @default 60,000 */
  idleTimeoutMs?: number
}

/** A backend, its state and its jobs. */
export interface BackendInfo extends BackendState {
  readonly name: string
  readonly driver: string
  readonly capabilities: Capabilities
  readonly layout: 'key' | 'id'
  /** The medium found when it was first opened, if the driver can tell. Any other is refused. */
  readonly medium?: string
  readonly jobs: JobCounts
  /** How many copies there are bad, by state. The count stops at 1,000 of each, which means 1,000 or more. */
  readonly bad: Readonly<Partial<Record<BadState, number>>>
}

/** The state of a store: which process syncs, and what is owed, staged and known to be bad. */
export interface StoreStatus {
  /** Which process syncs: this one, another one that it knows of, or none. */
  readonly syncing: 'here' | 'elsewhere' | 'nowhere'
  readonly backends: readonly BackendInfo[]
  /** Jobs of backends that are not configured, by name. They wait until a backend of that name is configured. */
  readonly detached: Readonly<Record<string, JobCounts>>
  readonly staging: StagingUsage
  /** Why nothing can be written until the store is opened again; `null` while it is healthy. */
  readonly degraded: Failure | null
  /** The disk of the store. Puts are refused once its free space is down to the reserve. */
  readonly disk: DiskUsage | null
}

/** The disk failed under the index. At most once for an open store. */
export interface DegradedEvent {
  readonly type: 'degraded'
  readonly error: Failure
  /** Milliseconds since the epoch. */
  readonly time: number
}

/**
 * A message from a driver or its guard to operators: what it left out of a listing, what it could not clean up, what it will retry. It
 * never holds a secret, and never needs action: anything that does rejects a call instead. Events are live, in the process that uses
 * the backend, at most a hundred a minute for each backend and level. The first listener also gets the messages from before it came.
 */
export interface BackendLogEvent extends LogEvent {
  readonly type: 'log'
  readonly backend: string
  /** Milliseconds since the epoch. */
  readonly time: number
}

/** An event that `on` reports. */
export type StoreEvent =
  | Logged<PutEvent>
  | Logged<DeleteEvent>
  | Logged<ExtensionEvent>
  | SyncEvent
  | DegradedEvent
  | BackendLogEvent

/** The event of one type. */
export type StoreEventOf<Type extends StoreEvent['type']> = Type extends ExtensionEvent['type']
  ? Logged<ExtensionEvent & { readonly type: Type }>
  : Extract<StoreEvent, { type: Type }>

/** What `evict` removed. */
export interface EvictResult {
  readonly entries: number
  /** Bytes of their bodies. */
  readonly bytes: number
}

/** The read cache of a store: bytes fetched from remote backends. A store without one has an empty cache with a `maxSize` of 0. */
export interface StoreCache {
  stats(): Promise<CacheStats>
  /**
   * Removes entries.
   *
   * @param which `oldest`: the entry that would go first · `oversized`: entries above a quarter of `maxSize`, which would no longer
   *   enter · otherwise a pattern that must match all of the id or of a key bound to it; `*` stands for any characters, including
   *   `/` · or a RegExp that matches the id or such a key.
   * @throws {StorageError} INVALID_ARGUMENT.
   */
  evict(which: 'oldest' | 'oversized' | (string & {}) | RegExp): Promise<EvictResult>
  /** What `evict` would remove now. */
  evictable(which: 'oldest' | 'oversized' | (string & {}) | RegExp): Promise<readonly CacheEntry[]>
  clear(): Promise<void>
}

/** The parts of a store. `@stored/node` wires them. */
export interface StoreDOptions<Names extends string> {
  /** Commits what changes together. Index, queue and staging must use the same one. */
  ledger: Ledger
  /** What is known of blobs, keys and copies. */
  index: Index
  /** The jobs that bring copies to their backends. */
  queue: Queue
  /** Bytes that some backend has not received yet. */
  staging: Staging
  /** Keeps what was read from remote backends. @default none */
  cache?: ReadCache | undefined
  /** Runs the jobs, here or in another process. */
  syncer: Syncer
  /** Computes digests. */
  checksums: Checksums
  /** Detects the MIME type of a blob by its key and its first bytes. */
  mimeTypeOf: MimeTypeOf
  /** The backends, by name. */
  backends: Readonly<Record<Names, BackendOptions>>
  /** Where copies go if a put names no backends. @default all backends */
  defaultBackends?: readonly Names[] | undefined
  /** Checksums of every blob, in addition to SHA-256. @default none */
  algorithms?: readonly Algorithm[] | undefined
  /** The prefix of objects of layout `id`, and of keys that the caller does not choose. @default 'blobs' */
  prefix?: string | undefined
  /** What a put does while staging is full: wait for space, in turn, or reject with STAGING_FULL. @default 'wait' */
  whenFull?: 'wait' | 'refuse' | undefined
  /** The directories of the store itself. No backend's medium may overlap with them. @default none are known */
  own?: readonly OwnPlace[] | undefined
}
