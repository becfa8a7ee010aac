import type { Claimed, Failure, Queue, SyncTarget } from '@stored/core'
import { Breaker, type Permit } from './breaker.ts'
import { FailingPaths } from './failing-paths.ts'
import { speaksOfOutage, type Verdict } from './policy.ts'

/** How long a claim lasts unless it is renewed, in milliseconds. */
export const LEASE_MS = 60_000
/** Claimed and unsettled jobs for each that may occupy the backend: what may pile up behind a slow commit. */
const UNSETTLED = 4
/** How long a failed queue is left alone, in milliseconds. */
const RETRY_MS = 1000
const MAX_RETRY_MS = 60_000
const CLOSING = new Error('the backend is being closed')
const HELD = new Error('the backend fails')
const PAUSED = new Error('the backend is paused')
/** The maximum of setTimeout(). */
const MAX_TIMER_MS = 2 ** 31 - 1

/** A running job, and what its runner reports. */
export interface Try {
  readonly signal: AbortSignal
  /** The backend was known to fail: this try finds out whether it still does. */
  readonly isProbe: boolean
  /**
   * Call it when the backend is done with the job, which then only waits for its commit; otherwise the end of the job
   * means the same.
   *
   * @param retryAfterMs The pause that the backend asked for.
   */
  moved(verdict: Verdict, error?: Failure, retryAfterMs?: number): void
}

export interface LaneOptions {
  readonly queue: Pick<Queue, 'choose' | 'nextDue' | 'renew' | 'recover' | 'isPaused' | 'jobs'>
  readonly target: SyncTarget
  /** Takes due jobs; with `key`, only that one. */
  claim(max: number, o: { leaseMs: number; key?: string }): Promise<Claimed[]>
  /**
   * Runs a job and settles it, whatever happens; never rejects. If a job is given back or aborted, its signal is
   * aborted.
   */
  run(job: Claimed, attempt: Try): Promise<void>
  /** A job has shown the backend's health. */
  onVerdict(isWell: boolean): void
  /** The queue itself failed. */
  onError(error: unknown): void
}

interface Running {
  readonly abort: AbortController
  readonly done: Promise<void>
}

/** The jobs of one backend: claims, runs and waits for the next due one, with one timer. */
export class Lane {
  readonly breaker: Breaker
  readonly #options: LaneOptions
  readonly #ready: Claimed[] = []
  readonly #running = new Map<Claimed, Running>()
  /** Jobs that occupy the backend. The other running ones wait for a commit they share. */
  #moving = 0
  #movingBytes = 0
  #timer: NodeJS.Timeout | undefined
  #renewal: NodeJS.Timeout | undefined
  #claiming: Promise<void> | null = null
  #claimAgain = false
  readonly #failing = new FailingPaths()
  /**
   * While the breaker is open: everything due before this has failed. A later job is tried before the others are
   * retried.
   */
  #noneFreshBefore: number | null = null
  #failures = 0
  #hasRecalled = false
  #stopped = false
  /**
   * When the leases of claims whose outcome is unknown have ended, by `performance.now()`; the jobs are then put back.
   */
  #suspectUntil: number | undefined

  constructor(options: LaneOptions, breaker = new Breaker()) {
    this.#options = options
    this.breaker = breaker
    this.wake()
  }

  /** Looks for work. Cheap: any number of calls during one look leads to one more. */
  wake(): void {
    if (this.#stopped) return
    this.#claimAgain = true
    this.#claiming ??= this.#claimLoop().finally(() => {
      this.#claiming = null
      // Woken after the last look, while it asked when to look next.
      if (this.#claimAgain) this.wake()
    })
  }

  /** Tries a failing backend at once. */
  retry(): void {
    this.breaker.retry()
    this.wake()
  }

  /** Jobs may be claimed that nobody runs: they are put back once their leases have ended. */
  suspect(): void {
    this.#suspectUntil = performance.now() + LEASE_MS
    this.wake()
  }

  /** Claims nothing more; jobs still running after `graceMs` are aborted. Resolves when all are settled. */
  async stop(graceMs: number): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    await this.#claiming
    this.#giveBack(CLOSING)
    const patience = setTimeout(() => {
      for (const { abort } of this.#running.values()) abort.abort(CLOSING)
    }, graceMs)
    await Promise.all([...this.#running.values()].map(({ done }) => done))
    clearTimeout(patience)
  }

  async #claimLoop(): Promise<void> {
    const { queue, target, onError } = this.#options
    try {
      while (this.#claimAgain && !this.#stopped) {
        this.#claimAgain = false
        if (this.#suspectUntil !== undefined && performance.now() > this.#suspectUntil) {
          await queue.recover(Date.now())
          this.#suspectUntil = undefined
        }
        if (this.#ready.length > 0 && (await queue.isPaused(target.backend.name))) this.#giveBack(PAUSED)
        if (!this.#hasRecalled) await this.#recall()
        const { isOpen } = this.breaker
        const jobs = isOpen ? await this.#claimProbe() : await this.#claimDue()
        this.#failures = 0
        this.#ready.push(...jobs)
        if (jobs.length > 0) this.#claimAgain = true
        // It may have started to fail in the meantime.
        if (this.breaker.isOpen && !isOpen) this.#giveBack(HELD)
        else this.#startReady()
      }
      this.#armTimer(await queue.nextDue(target.backend.name))
    } catch (error) {
      onError(error)
      // It may have been committed nevertheless.
      this.#suspectUntil = performance.now() + LEASE_MS
      this.#wakeAfter(Math.min(RETRY_MS * 2 ** this.#failures++, MAX_RETRY_MS))
    }
  }

  /**
   * A short-lived process would otherwise rediscover an outage, and spend attempts on it, so check what the oldest job
   * recorded.
   */
  async #recall(): Promise<void> {
    const { queue, target } = this.#options
    for await (const [oldest] of queue.jobs({ backend: target.backend.name, state: 'waiting' })) {
      if (oldest?.error && speaksOfOutage(oldest.error.code)) this.breaker.doubt()
      break
    }
    this.#hasRecalled = true
  }

  /** Ahead, so that nothing idles during the commit of the next claim, and in batches. */
  async #claimDue(): Promise<Claimed[]> {
    const { target, claim } = this.#options
    this.#noneFreshBefore = null
    const room = 2 * target.concurrency - this.#moving - this.#ready.length
    return room < target.concurrency || this.#isFull() ? [] : claim(room, { leaseMs: LEASE_MS })
  }

  /** The job that finds out whether the backend is back: preferably far from those that failed. */
  async #claimProbe(): Promise<Claimed[]> {
    const { queue, target, claim } = this.#options
    const { room, freshRoom } = this.breaker
    if (freshRoom === 0 || this.#ready.length > 0) return []
    const begun = Date.now()
    const key = await queue.choose(target.backend.name, {
      since: room > 0 ? 0 : (this.#noneFreshBefore ?? 0),
      nearness: (job) => this.#failing.nearness(job),
    })
    if (key !== null) return claim(1, { leaseMs: LEASE_MS, key })
    this.#noneFreshBefore = begun
    return room > 0 ? claim(1, { leaseMs: LEASE_MS }) : []
  }

  #armTimer(due: number | null): void {
    const untilDue = due === null ? Number.POSITIVE_INFINITY : due + 1 - Date.now()
    const untilRecovery = (this.#suspectUntil ?? Number.POSITIVE_INFINITY) + 1 - performance.now()
    this.#wakeAfter(Math.min(Math.max(untilDue, this.#untilProbe()), untilRecovery))
  }

  #untilProbe(): number {
    const { waitMs, freshWaitMs } = this.breaker
    // Already looked for: later puts wake by themselves.
    return freshWaitMs === 0 && this.#noneFreshBefore !== null ? waitMs : freshWaitMs
  }

  #wakeAfter(ms: number): void {
    clearTimeout(this.#timer)
    // With no room, the end of a job wakes it.
    if (this.#stopped || this.#isFull() || ms === Number.POSITIVE_INFINITY) return
    this.#timer = setTimeout(() => this.wake(), Math.min(Math.max(Math.ceil(ms), 1), MAX_TIMER_MS))
  }

  #isFull(): boolean {
    const { concurrency } = this.#options.target
    return this.#moving + this.#ready.length > concurrency || this.#running.size >= UNSETTLED * concurrency
  }

  #startReady(): void {
    for (let next = this.#ready[0]; next && !this.#stopped && this.#mayStart(next); next = this.#ready[0]) {
      this.#ready.shift()
      this.#start(next, this.breaker.permit({ isFresh: isFresh(next) }))
    }
  }

  #mayStart(job: Claimed): boolean {
    const { concurrency, bytesInFlight } = this.#options.target
    const room = isFresh(job) ? this.breaker.freshRoom : this.breaker.room
    if (room === 0 || this.#moving >= concurrency) return false
    return this.#moving === 0 || this.#movingBytes + job.size <= bytesInFlight
  }

  #start(job: Claimed, permit: Permit | null): AbortController {
    const abort = new AbortController()
    const leave = this.#occupy(job)
    const moved: Try['moved'] = (verdict, error, retryAfterMs) => {
      if (leave()) {
        if (permit) this.breaker.report(permit, verdict, error, retryAfterMs)
        this.#options.onVerdict(this.breaker.cause === null)
        this.#remember(job.key, verdict)
        // Jobs that have not started do not wait for the backend under a lease.
        if (this.breaker.room === 0) this.#giveBack(HELD)
      }
      this.#startReady()
      if (!this.#isFull()) this.wake()
    }
    // In a turn of its own: a job that is given back is aborted before it runs.
    const done = Promise.resolve()
      .then(() => this.#options.run(job, { signal: abort.signal, isProbe: permit?.isProbe ?? false, moved }))
      .then(() => {
        this.#running.delete(job)
        if (this.#running.size === 0) {
          clearInterval(this.#renewal)
          this.#renewal = undefined
        }
        moved('nothing')
      })
    this.#running.set(job, { abort, done })
    this.#renewal ??= setInterval(() => this.#renewAll(), LEASE_MS / 3)
    return abort
  }

  #remember(key: string, verdict: Verdict): void {
    if (verdict === 'answered') this.#failing.answered(key)
    else if (verdict === 'failed' || verdict === 'unclear') this.#failing.failed(key)
  }

  /** @returns A function that frees the slot, and returns whether it was still taken. */
  #occupy({ size }: Claimed): () => boolean {
    let isTaken = true
    this.#moving++
    this.#movingBytes += size
    return () => {
      if (!isTaken) return false
      isTaken = false
      this.#moving--
      this.#movingBytes -= size
      return true
    }
  }

  #giveBack(reason: Error): void {
    for (const job of this.#ready.splice(0)) this.#start(job, null).abort(reason)
  }

  #renewAll(): void {
    const { queue, onError } = this.#options
    for (const [job, { abort }] of this.#running)
      queue.renew(job, LEASE_MS).catch((error: unknown) => abort.abort(error))
    for (const job of this.#ready) queue.renew(job, LEASE_MS).catch(onError)
  }
}

/** It has not failed yet, so it is not known to have a problem of its own. */
function isFresh({ error }: Claimed): boolean {
  return error === undefined
}
