import type { BlobId } from './blob.ts'
import type { Failure } from './failure.ts'
import type { Rev } from './revision.ts'

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

/** Whether a place still needs the blob's bytes from us, holds them, or neither. */
export type Standing = 'owing' | 'synced' | 'neither'

/** Any place of a blob that stands so, but for a few. */
export interface SomePlace {
  readonly id: BlobId
  readonly standing: Standing
  readonly except?: readonly Place[]
}
