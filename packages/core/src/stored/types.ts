import type { Capabilities, StorageBackend } from '../backend/contract.ts'
import type {
  Algorithm,
  BlobFacts,
  BlobId,
  Checksums,
  Failure,
  Index,
  JobCounts,
  Ledger,
  LocationState,
  MimeTypeOf,
  Place,
  Queue,
  Staging,
  SyncEvent,
  Syncer,
} from '../ports.ts'

/** One copy of a blob, as a record shows it. */
export interface RecordLocation extends Place {
  readonly synced: boolean
  /** `detached`: its backend is not configured. */
  readonly state: LocationState | 'detached'
  readonly etag?: string
  /** When the bytes were last confirmed, in milliseconds since the epoch. */
  readonly verified?: number
  readonly error?: Failure
}

/** All that is known of a blob. */
export interface BlobRecord extends BlobFacts {
  readonly locations: readonly RecordLocation[]
}

export interface PutResult extends BlobRecord {
  readonly key: string
  /** Whether the store did not know these bytes before. */
  readonly isNew: boolean
}

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

export interface GetOptions<Names extends string = string> {
  /** Read this copy and no other. @default staged bytes, else the first synced copy in the order of the configuration */
  backend?: Names
  /** Bytes from `offset`, 0-based; not verified. @default the whole blob, verified */
  range?: { offset?: number; length?: number }
  /** Try the other copies when one fails. @default false: the error names them */
  fallback?: boolean
  signal?: AbortSignal
}

export interface DeleteOptions<Names extends string = string> {
  /** Drop the copies on these backends only; keys and other copies stay. */
  backends?: readonly Names[]
  signal?: AbortSignal
}

export interface DeleteResult {
  /** Keys that are no longer bound. */
  readonly deleted: readonly string[]
  /** Backends that still have to be cleaned. */
  readonly pending: readonly string[]
}

export interface ListOptions<Names extends string = string> {
  /** Only blobs with a copy there. */
  backend?: Names
  prefix?: string
  /** At most so many. */
  limit?: number
  /** Only keys that sort after this one. */
  after?: string
  /** Also blobs of which every copy was found missing. @default false */
  missing?: boolean
  signal?: AbortSignal
}

export interface ListEntry extends BlobRecord {
  readonly key: string
}

export interface SyncedOptions<Names extends string = string> {
  /** Of one blob: resolve as soon as so many copies are synced. */
  copies?: number
  /** Only these. @default all that are configured */
  backends?: readonly Names[]
  signal?: AbortSignal
}

/** A backend and how the store uses it. */
export interface BackendOptions {
  backend: StorageBackend
  /** `key`: an object for each key, at that key. `id`: an object for each blob, at `<prefix>/sha256/ab/cd/<hash>`. @default 'key' */
  layout?: 'key' | 'id'
  /** Write over what StoreD did not put there. @default false */
  overwrite?: boolean
  /** Jobs at a time. @default what the driver allows, at most 16 */
  concurrency?: number
}

export interface BackendInfo {
  readonly name: string
  readonly driver: string
  readonly capabilities: Capabilities
  readonly layout: 'key' | 'id'
  readonly jobs: JobCounts
}

export type StoreEvent =
  | { type: 'put'; checksum: BlobId; key: string; size: number; isNew: boolean; seq: number; time: number }
  | { type: 'delete'; checksum: BlobId; keys: readonly string[]; seq: number; time: number }
  | SyncEvent

export type StoreEventOf<Type extends StoreEvent['type']> = Extract<StoreEvent, { type: Type }>

/** What a store is made of. `@stored/node` wires it. */
export interface StoreDOptions<Names extends string> {
  ledger: Ledger
  index: Index
  queue: Queue
  staging: Staging
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
}
