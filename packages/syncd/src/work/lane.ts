import type { Claimed, Failure, Queue, SyncTarget } from '@stored/core'
import { Breaker, type Permit } from './breaker.ts'
import { FailingPaths } from './failing-paths.ts'
import { speaksOfOutage, type Verdict } from './policy.ts'

/** How long a claim is ours unless it is renewed, in milliseconds. */
export const LEASE_MS = 60_000
/** Jobs claimed and not settled, for each that may occupy the backend: what a slow commit may pile up. */
const UNSETTLED = 4
/** How long a queue that failed is left alone, in milliseconds. */
const RETRY_MS = 1000
const MAX_RETRY_MS = 60_000
const CLOSING = new Error('the backend is being closed')
const HELD = new Error('the backend fails')
const PAUSED = new Error('the backend is paused')
/** setTimeout() takes no more. */
const MAX_TIMER_MS = 2 ** 31 - 1

/** A job under way, and what its runner tells of it. */
export interface Try {
  readonly signal: AbortSignal
  /** The backend was known to fail: this try finds out whether it still does. */
  readonly isProbe: boolean
  /**
   * To be called when the backend is done with the job, which then only waits for its commit; otherwise the end of the job says so.
   *
   * @param retryAfterMs What the backend asked for.
   */
  moved(verdict: Verdict, error?: Failure, retryAfterMs?: number): void
}

export interface LaneOptions {
  readonly queue: Pick<Queue, 'choose' | 'nextDue' | 'renew' | 'recover' | 'isPaused' | 'jobs'>
  readonly target: SyncTarget
  /** Takes due jobs; with `key`, that one alone. */
  claim(max: number, o: { leaseMs: number; key?: string }): Promise<Claimed[]>
  /** Does a job and settles it, whatever happens; never rejects. A job that is given back, or aborted, comes with its signal aborted. */
  run(job: Claimed, attempt: Try): Promise<void>
  /** A job has shown how the backend fares. */
  onVerdict(isWell: boolean): void
  /** The queue itself failed. */
  onError(error: unknown): void
}

interface Running {
  readonly abort: AbortController
  readonly done: Promise<void>
}

/** The jobs of one backend: claims, runs and waits for the next due, by one timer. */
export class Lane {
  readonly breaker: Breaker
  readonly #options: LaneOptions
  readonly #ready: Claimed[] = []
  readonly #running = new Map<Claimed, Running>()
  /** Jobs that occupy the backend. The rest of those running wait for a commit they share. */
  #moving = 0
  #movingBytes = 0
  #timer: NodeJS.Timeout | undefined
  #renewal: NodeJS.Timeout | undefined
  #claiming: Promise<void> | null = null
  #claimAgain = false
  readonly #failing = new FailingPaths()
  /** While the breaker is open: what fell due before has failed. A later one is heard before the others may be tried again. */
  #noneFreshBefore: number | null = null
  #failures = 0
  #hasRecalled = false
  #stopped = false
  /** When leases of claims whose outcome is unknown have ended, by `performance.now()`; the jobs are then put back. */
  #suspectUntil: number | undefined

  constructor(options: LaneOptions, breaker = new Breaker()) {
    this.#options = options
    this.breaker = breaker
    this.wake()
  }

  /** Looks for work. Cheap: any number of calls while one look is under way leads to one more. */
  wake(): void {
    if (this.#stopped) return
    this.#claimAgain = true
    this.#claiming ??= this.#claimLoop().finally(() => {
      this.#claiming = null
      // Woken behind the last look, while it asked when to look next.
      if (this.#claimAgain) this.wake()
    })
  }

  /** Has a failing backend tried at once. */
  retry(): void {
    this.breaker.retry()
    this.wake()
  }

  /** Jobs may be claimed that nobody runs: once their leases have ended, they are put back. */
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
        // It may have begun to fail meanwhile.
        if (this.breaker.isOpen && !isOpen) this.#giveBack(HELD)
        else this.#startReady()
      }
      this.#armTimer(await queue.nextDue(target.backend.name))
    } catch (error) {
      onError(error)
      // It may have been committed all the same.
      this.#suspectUntil = performance.now() + LEASE_MS
      this.#wakeAfter(Math.min(RETRY_MS * 2 ** this.#failures++, MAX_RETRY_MS))
    }
  }

  /** A process that ends soon would else find out about an outage anew, and spend attempts on it: see what the oldest job notes. */
  async #recall(): Promise<void> {
    const { queue, target } = this.#options
    for await (const [oldest] of queue.jobs({ backend: target.backend.name, state: 'waiting' })) {
      if (oldest?.error && speaksOfOutage(oldest.error.code)) this.breaker.doubt()
      break
    }
    this.#hasRecalled = true
  }

  /** Ahead, so that nobody idles during the commit of the next claim, and not in driblets. */
  async #claimDue(): Promise<Claimed[]> {
    const { target, claim } = this.#options
    this.#noneFreshBefore = null
    const room = 2 * target.concurrency - this.#moving - this.#ready.length
    return room < target.concurrency || this.#isFull() ? [] : claim(room, { leaseMs: LEASE_MS })
  }

  /** The job that shall find out whether the backend is back: far from those that failed, where there is one. */
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
    // Looked for already: what is put later wakes by itself.
    return freshWaitMs === 0 && this.#noneFreshBefore !== null ? waitMs : freshWaitMs
  }

  #wakeAfter(ms: number): void {
    clearTimeout(this.#timer)
    // With room for nothing, the end of a job is what wakes.
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
        // What is not begun does not wait for the backend under a lease.
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

  /** @returns Frees the place; whether it was still taken. */
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

/** It has not failed yet, so its trouble is not known to be its own. */
function isFresh({ error }: Claimed): boolean {
  return error === undefined
}
