import type { Claimed, Queue, SyncTarget } from '@stored/core'

const LEASE_MS = 60_000
/** Jobs claimed and not settled, for each that may occupy the backend: what a slow commit may pile up. */
const UNSETTLED = 4
/** How long a queue that failed is left alone, in milliseconds. */
const RETRY_MS = 1000
const CLOSING = new Error('the backend is being closed')
/** setTimeout() takes no more. */
const MAX_TIMER_MS = 2 ** 31 - 1

export interface LaneOptions {
  readonly queue: Queue
  readonly target: SyncTarget
  /**
   * Does a job and settles it, whatever happens; never rejects.
   *
   * @param moved To be called when the backend is done with the job, which then only waits for its commit.
   */
  run(job: Claimed, signal: AbortSignal, moved: () => void): Promise<void>
  /** The queue itself failed. */
  onError(error: unknown): void
}

/** The jobs of one backend: claims, runs and waits for the next due, by one timer. */
export class Lane {
  readonly #options: LaneOptions
  readonly #ready: Claimed[] = []
  readonly #running = new Map<Claimed, { abort: AbortController; done: Promise<void> }>()
  /** Jobs that occupy the backend. The rest of those running wait for a commit they share. */
  #moving = 0
  #timer: NodeJS.Timeout | undefined
  #renewal: NodeJS.Timeout | undefined
  #claiming: Promise<void> | null = null
  #claimAgain = false
  #stopped = false
  /** When leases of claims whose outcome is unknown have ended; the jobs are then put back. */
  #suspectUntil: number | undefined

  constructor(options: LaneOptions) {
    this.#options = options
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

  /** Claims nothing more; jobs still running after `graceMs` are aborted. Resolves when all are settled. */
  async stop(graceMs: number): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    await this.#claiming
    for (const job of this.#ready.splice(0)) this.#start(job).abort(CLOSING)
    const patience = setTimeout(() => this.#abortAll(CLOSING), graceMs)
    await Promise.all([...this.#running.values()].map(({ done }) => done))
    clearTimeout(patience)
  }

  async #claimLoop(): Promise<void> {
    const { queue, target, onError } = this.#options
    try {
      while (this.#claimAgain && !this.#stopped) {
        this.#claimAgain = false
        await this.#recoverSuspects()
        // Claimed ahead, so that nobody idles during the commit of the next claim.
        const room = 2 * target.concurrency - this.#moving - this.#ready.length
        if (room < target.concurrency || this.#isFull()) continue
        const jobs = await queue.claim(target.backend.name, { max: room, leaseMs: LEASE_MS })
        this.#ready.push(...jobs)
        if (jobs.length > 0) this.#claimAgain = true
        this.#startReady()
      }
      await this.#armTimer()
    } catch (error) {
      onError(error)
      // It may have been committed all the same.
      this.#suspectUntil = Date.now() + LEASE_MS
      this.#wakeAfter(RETRY_MS)
    }
  }

  async #recoverSuspects(): Promise<void> {
    if (this.#suspectUntil === undefined || Date.now() <= this.#suspectUntil) return
    await this.#options.queue.recover(Date.now())
    this.#suspectUntil = undefined
  }

  async #armTimer(): Promise<void> {
    const due = await this.#options.queue.nextDue(this.#options.target.backend.name)
    const next = Math.min(due ?? Number.POSITIVE_INFINITY, this.#suspectUntil ?? Number.POSITIVE_INFINITY)
    if (next !== Number.POSITIVE_INFINITY) this.#wakeAfter(next + 1 - Date.now())
  }

  #wakeAfter(ms: number): void {
    clearTimeout(this.#timer)
    // With room for nothing, the end of a job is what wakes.
    if (this.#stopped || this.#isFull()) return
    this.#timer = setTimeout(() => this.wake(), Math.min(Math.max(ms, 1), MAX_TIMER_MS))
  }

  #isFull(): boolean {
    const { concurrency } = this.#options.target
    return this.#moving + this.#ready.length > concurrency || this.#running.size >= UNSETTLED * concurrency
  }

  #startReady(): void {
    while (this.#ready.length > 0 && this.#moving < this.#options.target.concurrency && !this.#stopped)
      this.#start(this.#ready.shift() as Claimed)
  }

  #start(job: Claimed): AbortController {
    const abort = new AbortController()
    let isMoving = true
    const moved = () => {
      if (isMoving) this.#moving--
      isMoving = false
      this.#startReady()
      if (!this.#isFull()) this.wake()
    }
    this.#moving++
    // In a turn of its own: a job that is given back is aborted before it runs.
    const done = Promise.resolve()
      .then(() => this.#options.run(job, abort.signal, moved))
      .then(() => {
        this.#running.delete(job)
        if (this.#running.size === 0) this.#stopRenewing()
        moved()
      })
    this.#running.set(job, { abort, done })
    this.#renewal ??= setInterval(() => this.#renewAll(), LEASE_MS / 3)
    return abort
  }

  #stopRenewing(): void {
    clearInterval(this.#renewal)
    this.#renewal = undefined
  }

  #renewAll(): void {
    const { queue, onError } = this.#options
    for (const [job, { abort }] of this.#running)
      queue.renew(job, LEASE_MS).catch((error: unknown) => abort.abort(error))
    for (const job of this.#ready) queue.renew(job, LEASE_MS).catch(onError)
  }

  #abortAll(reason: Error): void {
    for (const { abort } of this.#running.values()) abort.abort(reason)
  }
}
