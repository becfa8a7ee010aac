import type { BlobId } from './blob.ts'
import type { Failure } from './failure.ts'

interface SyncProgress {
  readonly checksum: BlobId
  readonly backend: string
  readonly key: string
  /** Milliseconds since the epoch. */
  readonly time: number
}

/** Progress or outcome of syncing a copy. */
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
  /** The key's version, as `ifMatch` takes it. Absent from events that an earlier version of StoreD recorded. */
  readonly version?: string
  /** In bytes. */
  readonly size: number
  /** Whether these bytes were new to the store. */
  readonly isNew: boolean
  /** Milliseconds since the epoch. */
  readonly time: number
}

/** Keys were unbound, or copies given up. */
export interface DeleteEvent {
  readonly type: 'delete'
  readonly checksum: BlobId
  readonly keys: readonly string[]
  /** The blob had more keys than one commit removes. None of them can be read any more; later events name them. */
  readonly more?: true
  readonly time: number
}

/** What a package above the store recorded: an event of its own. @see Extension */
export interface ExtensionEvent {
  /** The name of the extension, a full stop, and what happened: `objects.created`. */
  readonly type: `${string}.${string}`
  /** JSON values. */
  readonly data: Readonly<Record<string, unknown>>
  readonly time: number
}

/** An event in the log, for consumers that were away. */
export type DurableEvent = PutEvent | DeleteEvent | SyncOutcome | ExtensionEvent

/** The place of a commit, or of an event, in the order of all commits. Opaque: it is compared by asking the ledger, never by arithmetic. */
export type Position = string

/** An event with its place in the log. */
export type Logged<Event> = Event & {
  readonly position: Position
  /** The position as a number. @deprecated Use `position`: other ledgers have no number. */
  readonly seq: number
}
