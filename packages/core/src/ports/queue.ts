import type { StorageError } from '../backend/error.ts'
import type { Place } from '../model/copy.ts'
import type { Claimed, Job, JobCounts, JobFilter, NewJob } from '../model/job.ts'
import type { Ledger, Transaction, View } from './ledger.ts'

/**
 * The durable queue. Each place has at most one running job and one waiting behind it. A new job replaces a waiting or parked
 * one.
 */
export interface Queue {
  readonly ledger: Ledger
  enqueue(tx: Transaction, job: NewJob): void
  /**
   * Removes the job that waits or is parked for a place, if there is one.
   *
   * @throws {StorageError} CONFLICT: one is running there.
   */
  drop(tx: Transaction, place: Place): void
  /** Whether an attempt of a place's job has begun, whatever the job's state. The attempt may have taken effect. */
  begun(view: View, place: Place): boolean
  /** Whether a job is running at a place. */
  isRunning(view: View, place: Place): boolean
  /** Whether a newer job waits behind this one. */
  isOvertaken(view: View, job: Claimed): boolean
  /**
   * Removes the job.
   *
   * @throws {StorageError} CONFLICT: the lease is lost. So do `retry`, `giveBack` and `park`.
   */
  complete(tx: Transaction, job: Claimed): void
  /**
   * Keeps what lets the next attempt continue where this one ends, in a commit of its own. It is dropped with the job, by `park`,
   * and when a newer job replaces it. A text that differs from the last one is progress: earlier crashes no longer count.
   *
   * @throws {StorageError} CONFLICT: the lease is lost; stop writing.
   */
  keepCheckpoint(job: Claimed, checkpoint: string): Promise<void>
  /**
   * Puts the job back after an attempt, unless a newer one waits behind it.
   *
   * @param o.error What the attempt failed with. @default the attempt was cut off; the error of the one before stands
   * @param o.free The attempt does not count.
   * @param o.anew The next attempt starts over: the checkpoint is dropped.
   */
  retry(
    tx: Transaction,
    job: Claimed,
    o: { error?: StorageError; afterMs: number; free?: boolean; anew?: boolean },
  ): void
  /** Puts the job back as if it had not been claimed. */
  giveBack(tx: Transaction, job: Claimed): void
  /**
   * Keeps the job, with its error, until `unpark`. INVALID_KEY comes before anything is written, so such an attempt does not count as
   * begun.
   *
   * @param o.retrialAfterMs When `claim` may take it again, as a `retrial`. @default never
   */
  park(tx: Transaction, job: Claimed, error: StorageError, o?: { retrialAfterMs?: number }): void
  /** Puts the parked job of a place, if there is one, back in the queue: due at once, with no attempts counted. */
  unpark(tx: Transaction, place: Place): void
  /**
   * Takes due jobs, longest due first, in a commit of its own that also counts the attempt. Takes none while the backend is paused.
   *
   * @param o.key Takes only the job of this key, if it is due.
   * @param o.fence Called inside the plan. Throws if the caller may no longer claim.
   */
  claim(
    backend: string,
    o: { max: number; leaseMs: number; key?: string; fence?: (view: View) => void },
  ): Promise<Claimed[]>
  /**
   * The key of the due job with the least nearness; among equals, the one longest due. Reads jobs until it finds one of nearness 0.
   *
   * @param o.since Skips jobs that fell due before, in milliseconds since the epoch.
   * @param o.nearness `Infinity` for a job that must not be chosen.
   * @returns `null` when there is none.
   */
  choose(backend: string, o: { since: number; nearness: (job: Job) => number }): Promise<string | null>
  /** Records durably that an attempt begins: if it never ends, `recover` counts a crash. Needed only for jobs with `crashes`. */
  mark(job: Claimed, leaseMs: number): Promise<void>
  /** @throws {StorageError} CONFLICT: the lease is lost; stop writing. */
  renew(job: Claimed, leaseMs: number): Promise<void>
  /**
   * Puts back what was claimed under leases that ended before `now`; without it, all that was claimed: its process is gone. A job
   * that is settled after all is left out.
   *
   * A process that is gone may have been killed by a job. Each that ran has crashed once; from then on, only one that was marked and
   * no other beside it. Nobody crashed if the machine was started since, nor did what had run for a minute.
   *
   * @param o.boot Names the time since the machine was started; kept for the next call.
   * @param o.fence Called inside each plan: throws if the caller may not put jobs back any more.
   * @returns How many.
   */
  recover(now?: number, o?: { fence?: (view: View) => void; boot?: string }): Promise<number>
  /** No process claims anything more for a backend until `resume`. Durable; safe to repeat. */
  pause(backend: string): Promise<void>
  /**
   * Ends the pause, if there is one, and makes every waiting job due now. Each commit moves a few hundred jobs, so that others get their
   * turn in between.
   */
  resume(backend: string): Promise<void>
  isPaused(backend: string): Promise<boolean>
  /** Identifies the last `resume`: a different text after each, in no order. `null` before the first, and while the backend is paused. */
  resumed(backend: string): Promise<string | null>
  /** When `claim` may next find a job, in milliseconds since the epoch; `null` if nothing waits, or the backend is paused. */
  nextDue(backend: string): Promise<number | null>
  /** In pages, none of them empty. For each backend: running jobs, then parked ones, then waiting ones, in the order they were queued. */
  jobs(filter: JobFilter): AsyncIterable<readonly Job[]>
  /** By backend, without a scan. */
  counts(): Promise<Readonly<Record<string, JobCounts>>>
  /** Calls `listener` with the name of each backend whose jobs changed, after the commit. @returns A function that removes the listener. */
  onWork(listener: (backend: string) => void): () => void
}
