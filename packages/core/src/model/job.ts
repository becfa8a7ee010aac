import type { BlobId } from './blob.ts'
import type { Place } from './copy.ts'
import type { Failure } from './failure.ts'

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
