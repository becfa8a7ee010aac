import type { GuardedBackend } from '../guard/guarded-backend.ts'
import type { SyncEvent } from '../model/event.ts'
import type { Failure } from '../model/failure.ts'

/**
 * Which backend of a name a process has open: the one that was there when it was added. When that was removed, by whatever process, this one
 * does nothing for it any more.
 */
export interface Generation {
  /** `undefined` until it is `known`. */
  readonly value: number | undefined
  /** Rejects if it cannot be read; each time it is asked for, it is tried again. */
  readonly known: Promise<void>
}

/** A backend that jobs run for. */
export interface SyncTarget {
  readonly backend: GuardedBackend
  readonly generation: Generation
  /** Concurrent jobs. */
  readonly concurrency: number
  /** Bytes of all running jobs together. A larger job runs alone. */
  readonly bytesInFlight: number
  /** Overwrite what StoreD did not put there. */
  readonly overwrite: boolean
}

/**
 * The state of a backend, as the process that syncs found it. Every process reports the same.
 *
 * - `ok`: jobs run
 * - `paused`: by `pause`, until `resume`
 * - `failing`: it failed too often; one job at a time probes it
 * - `unusable`: its credentials, configuration, quota or root are wrong; it is probed in the same way, and by `resume`
 * - `unknown`: no process syncs it: none syncs the store, or the one that does is not configured with it; `error` and `asOf` are the
 *   last that is known
 */
export interface BackendState {
  readonly state: 'ok' | 'paused' | 'failing' | 'unusable' | 'unknown'
  /** Its last error. */
  readonly error?: Failure
  /** When it last failed, in milliseconds since the epoch. */
  readonly asOf?: number
  /** When it will be tried again, in milliseconds since the epoch. */
  readonly retryAt?: number
}

/** Empties the queue, in one process of a store at a time. */
export interface Syncer {
  /** Whether this process is the one that syncs. */
  readonly active: boolean
  /** Whether some process syncs: this one, or another that it knows of. */
  readonly attended: boolean
  add(target: SyncTarget): void
  /** Ends the jobs of a backend. They continue when it is added again. */
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
