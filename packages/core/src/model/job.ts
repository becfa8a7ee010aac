import type { BlobId } from './blob.ts'
import type { Place } from './copy.ts'
import type { Failure } from './failure.ts'

/** A job to be queued: one piece of work for one backend. */
export interface NewJob extends Place {
  readonly op: 'put' | 'delete'
  readonly id: BlobId
  /** Bytes to move; 0 for a delete. */
  readonly size: number
}

/** A job in the queue. */
export interface Job extends NewJob {
  readonly state: 'waiting' | 'running' | 'parked'
  /** Number of attempts. Each is counted before it starts. */
  readonly attempts: number
  /** Attempts that may have killed their process; see `recover`. */
  readonly crashes?: number
  /** An attempt was started and did not complete: it may have landed. */
  readonly begun?: true
  /** Tells it from the other jobs of its place. */
  readonly seq: number
  /** Milliseconds since the epoch. */
  readonly created: number
  /** When it may be tried next, in milliseconds since the epoch. */
  readonly due: number
  /** The error of the last attempt. */
  readonly error?: Failure
}

/** A job that this process owns until its lease ends. */
export interface Claimed extends Job {
  readonly lease: string
  /** It ran beside others when its process died: run no other job with `crashes` beside it. */
  readonly alone?: true
  /** It was parked, and is tried again anyway. */
  readonly retrial?: true
  /** Text from the driver that lets this attempt resume where the last one ended. Not for events or for people. */
  readonly checkpoint?: string
}

/** Which jobs to select. */
export interface JobFilter {
  readonly backend?: string
  readonly key?: string
  readonly id?: BlobId
  readonly state?: Job['state']
  /** Ends the search. */
  readonly signal?: AbortSignal
}

/** How many jobs a backend has, by state. */
export interface JobCounts {
  readonly waiting: number
  readonly running: number
  readonly parked: number
  /** Bytes still to be moved. */
  readonly bytes: number
  /** When the oldest waiting or running job was queued, in milliseconds since the epoch. */
  readonly oldest?: number
}
