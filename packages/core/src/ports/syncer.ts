import type { GuardedBackend } from '../guard/guarded-backend.ts'
import type { SyncEvent } from '../model/event.ts'
import type { Failure } from '../model/failure.ts'

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

/**
 * How a backend fares, as the process that syncs found out. Every process is told the same.
 *
 * - `ok`: jobs run
 * - `paused`: by `pause`, until `resume`
 * - `failing`: it failed too often; one job at a time probes it
 * - `unusable`: credentials, configuration, quota or root: probed likewise, and by `resume`
 * - `unknown`: no process syncs; `error` and `asOf` say what was found out last
 */
export interface BackendState {
  readonly state: 'ok' | 'paused' | 'failing' | 'unusable' | 'unknown'
  /** What it last failed with. */
  readonly error?: Failure
  /** When it last failed, in milliseconds since the epoch. */
  readonly asOf?: number
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
