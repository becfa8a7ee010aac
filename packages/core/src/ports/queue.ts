import type { StorageError } from '../backend/error.ts'
import type { Place } from '../model/copy.ts'
import type { Claimed, Job, JobCounts, JobFilter, NewJob } from '../model/job.ts'
import type { Ledger, Transaction, View } from './ledger.ts'

/**
 * The durable queue. For one place there is at most one job running and one waiting behind it; a newer one replaces a waiting
 * or parked older one.
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
  /** Whether a try of the job of a place, in whatever state, was begun: it may have landed. */
  begun(view: View, place: Place): boolean
  /** Whether a job is at work at a place. */
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
   * Keeps what lets the next try of the job go on where this one ends, in a commit of its own. It goes with the job, by `park`,
   * and when a newer job takes its place. A text other than the last is progress: crashes before it count no more.
   *
   * @throws {StorageError} CONFLICT: the lease is lost; stop writing.
   */
  keepCheckpoint(job: Claimed, checkpoint: string): Promise<void>
  /**
   * Puts the job back after a try, unless a newer one waits behind it.
   *
   * @param o.error What the try failed with. @default it was cut off; what the job noted of the try before holds
   * @param o.free The try does not count.
   * @param o.anew The next try begins anew: the checkpoint is dropped.
   */
  retry(
    tx: Transaction,
    job: Claimed,
    o: { error?: StorageError; afterMs: number; free?: boolean; anew?: boolean },
  ): void
  /** Puts the job back as if it had not been claimed. */
  giveBack(tx: Transaction, job: Claimed): void
  /**
   * Keeps the job, with its error, until `unpark`. INVALID_KEY came before anything was written: this try is then none that was
   * begun.
   *
   * @param o.retrialAfterMs When `claim` may take it again, as a `retrial`. @default never
   */
  park(tx: Transaction, job: Claimed, error: StorageError, o?: { retrialAfterMs?: number }): void
  /** Lets the parked job of a place wait again, due at once, its attempts forgotten; nothing where there is none. */
  unpark(tx: Transaction, place: Place): void
  /**
   * Takes due jobs, the longest due first, in a commit of its own that also counts the attempt; none while the backend is paused.
   *
   * @param o.key This one alone, if it is due.
   * @param o.fence Called inside the plan: throws if the caller may not claim any more.
   */
  claim(
    backend: string,
    o: { max: number; leaseMs: number; key?: string; fence?: (view: View) => void },
  ): Promise<Claimed[]>
  /**
   * The key of the due job of the least nearness, of several the one longest due. Reads as many as it takes to find one of nearness 0.
   *
   * @param o.since Leaves out what fell due before, in milliseconds since the epoch.
   * @param o.nearness `Infinity` for a job that is not to be chosen.
   * @returns `null` when there is none.
   */
  choose(backend: string, o: { since: number; nearness: (job: Job) => number }): Promise<string | null>
  /** Notes durably that a try begins: if it never ends, `recover` counts a crash. Needed for jobs with `crashes` only. */
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
  /** Claims nothing more for a backend, in no process, until `resume`. Durable; safe to repeat. */
  pause(backend: string): Promise<void>
  /**
   * Ends the pause, if there is one, and makes all that waits for a later try due now. Each commit moves some hundred jobs, so that
   * others get their turn in between.
   */
  resume(backend: string): Promise<void>
  isPaused(backend: string): Promise<boolean>
  /** Stands for the last `resume`: another text after each, in no order. `null` before the first, and while it is paused. */
  resumed(backend: string): Promise<string | null>
  /** When `claim` may next find a job, in milliseconds since the epoch; `null` when nothing waits, or the backend is paused. */
  nextDue(backend: string): Promise<number | null>
  /** Those that run, those that are parked, then those that wait, of each backend in the order they were queued. */
  jobs(filter: JobFilter): AsyncIterable<Job>
  /** By backend, without a scan. */
  counts(): Promise<Readonly<Record<string, JobCounts>>>
  /** Calls `listener` with the name of each backend whose jobs changed, after the commit. @returns A function that ends it. */
  onWork(listener: (backend: string) => void): () => void
}
