import { setTimeout } from 'node:timers/promises'
import type { BackendState, Claimed, Index, Queue, Staging, SyncEvent, Syncer, SyncTarget } from '@stored/core'
import { isCurrent, releaseVerified, type Trace, traced, type View } from '@stored/core'
import { checkOptions, is, needed, type OptionRulesOf, StorageError, toStorageError } from '@stored/core/backend'
import { ACCESS_MODE, type AccessMode } from '@stored/core/files'
import type { TreeLedger } from '@stored/ledger'
import { bootId } from './coordination/boot.ts'
import { Leadership } from './coordination/leadership.ts'
import { failureOf } from './queue/job-rows.ts'
import { type Health, HealthRecorder, readHealth } from './work/health.ts'
import { Lane, LEASE_MS, type Try } from './work/lane.ts'
import { decide, mayGoOn, needsSomebody, verdictOn } from './work/policy.ts'
import { runJob } from './work/run-job.ts'
import { type Services, Targets } from './work/services.ts'
import { dropIfUnwanted, oweAgain, parkJob, progress } from './work/settle.ts'
import { isSuspect, poisonOf, retrialAfter, Suspects } from './work/suspects.ts'

/** Debris of puts that crashed or were cut off. Younger files may be another process' put under way. */
const DEBRIS_AGE_MS = 60 * 60 * 1000
/** The same where puts go on after a crash: a day, as they may take hours and what arrived is worth keeping. */
const RESUMABLE_AGE_MS = 24 * DEBRIS_AGE_MS
const LEDGER_RETRY_MS = 1000
const MAX_LEDGER_RETRY_MS = 60_000
/** What jobs get to end by themselves when the store closes. */
const CLOSE_GRACE_MS = 5000

/** What SyncD works with. */
export interface SyncDOptions {
  /** The ledger of the store. */
  ledger: TreeLedger
  /** Its index. */
  index: Index
  /** Its queue. */
  queue: Queue
  /** Its staging. */
  staging: Staging
  /** Directory of the store, in which its processes find each other. @default this process has the store to itself */
  directory?: string
  /** Who may use the store. @default 0o700 */
  mode?: AccessMode
  /**
   * Names the time since the machine was started. If another time is recorded, the machine went down, so no job killed its
   * process.
   *
   * @default what the kernel says
   */
  boot?: string
  /** `false`: leave the syncing to another process, or to a later one. @default true */
  sync?: boolean
}

export const OPTIONS = {
  ledger: needed({ ...is.object, doc: 'The ledger of the store.' }),
  index: needed({ ...is.object, doc: 'Its index.' }),
  queue: needed({ ...is.object, doc: 'Its queue.' }),
  staging: needed({ ...is.object, doc: 'Its staging.' }),
  directory: {
    ...is.text,
    otherwise: 'this process has the store to itself',
    doc: 'Directory of the store, in which its processes find each other.',
  },
  mode: { ...ACCESS_MODE, doc: 'Who may use the store.' },
  boot: {
    ...is.text,
    otherwise: 'what the kernel says',
    doc: 'Names the time since the machine was started. If another time is recorded, the machine went down, so no job killed its process.',
  },
  sync: { ...is.boolean, default: true, doc: '`false`: leave the syncing to another process, or to a later one.' },
} as const satisfies OptionRulesOf<SyncDOptions>

/** Empties the queue into the backends. Of the processes that have a store open, one syncs; when it ends, another takes over. */
export class SyncD implements Syncer {
  readonly #ledger: TreeLedger
  readonly #services: Services
  readonly #boot: string | undefined
  readonly #leadership: Leadership
  readonly #targets: Targets
  readonly #lanes = new Map<string, Lane>()
  readonly #suspects = new Suspects()
  /** The last `resume` that was heeded, by backend. */
  readonly #resumed = new Map<string, string | null>()
  readonly #listeners = new Set<(event: SyncEvent) => void>()
  readonly #unsubscribe: readonly (() => void)[]
  readonly #closing = new AbortController()
  readonly #sweeping = new Set<Promise<void>>()
  /** Whether this process leads, and nothing is left that another one claimed. */
  #recovered = false
  /** While this process leads. */
  #health: HealthRecorder | null = null
  /** Starting and stopping lanes, one after the other. */
  #turn: Promise<void> = Promise.resolve()
  #releasing: Promise<unknown> | null = null
  #closed: Promise<void> | undefined

  static async open(options: SyncDOptions): Promise<SyncD> {
    const checked = checkOptions(options as SyncDOptions & { sync: boolean }, OPTIONS, { op: 'open' })
    const { sync: lead, directory, mode, boot, ...services } = checked
    const { ledger } = services
    const leadership = await Leadership.open({ ledger, lead, onError: warn, mode, directory })
    const syncd = new SyncD(services, leadership, boot ?? bootId())
    try {
      if (leadership.leads) await syncd.#inTurn(() => syncd.#recover())
      return syncd
    } catch (error) {
      await syncd.close()
      throw error
    }
  }

  private constructor(
    services: Omit<SyncDOptions, 'sync' | 'directory' | 'mode' | 'boot'>,
    leadership: Leadership,
    boot: string | undefined,
  ) {
    this.#boot = boot
    this.#ledger = services.ledger
    this.#targets = new Targets(services.index)
    this.#services = { ...services, backends: this.#targets }
    this.#leadership = leadership
    this.#unsubscribe = [
      services.queue.onWork((backend) => {
        this.#wake(backend)
        leadership.ring()
      }),
      leadership.onRing(() => {
        services.ledger.refresh()
        this.#wakeAll()
      }),
      leadership.onChange((leads) => {
        this.#inTurn(() => (leads ? this.#takeOver() : this.#stopLanes(0))).catch(warn)
      }),
    ]
  }

  get active(): boolean {
    return this.#leadership.leads
  }

  get attended(): boolean {
    return this.#leadership.attended
  }

  add(target: SyncTarget): void {
    const { name } = target.backend
    // The queue tries again by itself; a request for each try is what the backend sees of an outage.
    this.#targets.set(name, { ...target, backend: target.backend.withoutRetries() })
    if (this.#recovered) this.#startLane(name)
    this.#health?.noteSynced()
  }

  async remove(backend: string): Promise<void> {
    const lane = this.#lanes.get(backend)
    // Before anything is waited for: who takes over meanwhile starts a lane for each.
    this.#targets.delete(backend)
    this.#lanes.delete(backend)
    await lane?.stop(0)
    // Else another process would take what is known of it for known of the next backend of this name.
    this.#health?.note(backend, true)
    this.#health?.noteSynced()
  }

  async state(backend: string): Promise<BackendState> {
    if (await this.#services.queue.isPaused(backend)) return { state: 'paused' }
    if (this.#lanes.has(backend)) return (await this.#healthOf(backend)) ?? { state: 'ok' }
    const { health, isHistory, isLeft } = await this.#ledger.look((view) => readHealth(view, backend))
    if (this.attended && !isLeft) return health && !isHistory ? health : { state: 'ok' }
    return { state: 'unknown', ...(health && { error: health.error, asOf: health.asOf }) }
  }

  async #healthOf(backend: string): Promise<Health | null> {
    const breaker = this.#lanes.get(backend)?.breaker
    if (!breaker?.cause) return null
    const { cause: error, ageMs, waitMs } = breaker
    const state = needsSomebody(error.code) ? 'unusable' : 'failing'
    const health = { state, error, asOf: Math.round(Date.now() - ageMs) } as const
    // The probe is a job: it waits for its own time as well.
    const due = await this.#services.queue.nextDue(backend)
    if (due === null || !Number.isFinite(waitMs)) return health
    return { ...health, retryAt: Math.max(due, Date.now() + Math.ceil(waitMs)) }
  }

  onEvent(listener: (event: SyncEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  ring(): void {
    this.#leadership.ring()
  }

  onRing(listener: () => void): () => void {
    return this.#leadership.onRing(listener)
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    for (const end of this.#unsubscribe) end()
    this.#closing.abort(new Error('the store closes'))
    await this.#inTurn(() => this.#stopLanes(CLOSE_GRACE_MS)).catch(warn)
    await Promise.all([...this.#sweeping, this.#releasing])
    await this.#leadership.close()
  }

  /** The ledger itself may fail: then again, for as long as this process leads. */
  async #takeOver(): Promise<void> {
    const { signal } = this.#closing
    for (let wait = LEDGER_RETRY_MS; this.active && !signal.aborted; wait = Math.min(2 * wait, MAX_LEDGER_RETRY_MS)) {
      try {
        await this.#recover()
        if (this.#recovered) for (const name of this.#targets.keys()) this.#startLane(name)
        return
      } catch (failure) {
        warn(failure)
        await setTimeout(wait, undefined, { signal }).catch(() => {}) // Closing: no more.
      }
    }
  }

  /** Puts back what former leaders claimed: they may not settle it. Fenced, like each claim. */
  async #recover(): Promise<void> {
    const { queue } = this.#services
    try {
      const boot = this.#boot !== undefined && { boot: this.#boot }
      await queue.recover(undefined, { fence: this.#leadership.fence(), ...boot })
      this.#recovered = true
      this.#health = new HealthRecorder({
        ledger: this.#ledger,
        fence: () => this.#leadership.fence(),
        look: (backend) => this.#healthOf(backend),
        backends: () => [...this.#targets.keys()],
        // Somebody there may wait for what is synced no more.
        onTold: () => this.#leadership.ring(),
        onError: warn,
      })
      this.#health.noteSynced()
    } catch (error) {
      if (!StorageError.is(error) || error.code !== 'CONFLICT') throw error
      await this.#leadership.stepDown()
    }
  }

  async #stopLanes(graceMs: number): Promise<void> {
    this.#recovered = false
    await Promise.all([...this.#lanes.values()].map((lane) => lane.stop(graceMs)))
    // Before the lanes go: it asks them one last time.
    await this.#health?.stop()
    this.#health = null
    this.#lanes.clear()
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(work)
    this.#turn = done.catch(() => {}) // Told to whoever asked for it.
    return done
  }

  #startLane(name: string): void {
    const target = this.#targets.get(name)
    if (!target || this.#lanes.has(name) || this.#closing.signal.aborted) return
    const { queue } = this.#services
    const sweeping = this.#sweep(target).finally(() => this.#sweeping.delete(sweeping))
    this.#sweeping.add(sweeping)
    const lane = new Lane({
      queue,
      target,
      claim: (max, o) => this.#claim(target, { max, ...o }),
      run: (job, attempt) => this.#run(target, job, attempt),
      onVerdict: (isWell) => this.#health?.note(name, isWell),
      onError: warn,
    })
    this.#lanes.set(name, lane)
    // What was resumed before has been tried by being started.
    queue.resumed(name).then((resumed) => this.#resumed.set(name, resumed), warn)
  }

  #wakeAll(): void {
    for (const name of this.#lanes.keys()) this.#wake(name)
  }

  #wake(name: string): void {
    const lane = this.#lanes.get(name)
    if (!lane) return
    lane.wake()
    this.#noteResume(name, lane).catch(warn)
  }

  /** Whether somebody, in whatever process, asked for it to be tried at once: also when its jobs failed in an earlier process. */
  async #noteResume(name: string, lane: Lane): Promise<void> {
    const resumed = await this.#services.queue.resumed(name)
    if (resumed === null || resumed === this.#resumed.get(name)) return
    this.#resumed.set(name, resumed)
    lane.retry()
  }

  /** Fenced: who does not lead any more, or has a backend open that was removed, and may not know it yet, claims nothing. */
  async #claim(
    { backend: { name }, generation }: SyncTarget,
    o: { max: number; leaseMs: number; key?: string },
  ): Promise<Claimed[]> {
    const leads = this.#leadership.fence()
    await generation.known
    const fence = (view: View) => {
      leads(view)
      if (!isCurrent(this.#services, view, name, generation)) throw new StorageError('MISCONFIGURED', { op: 'claim' })
    }
    try {
      return await this.#services.queue.claim(name, { ...o, fence })
    } catch (error) {
      if (!StorageError.is(error)) throw error
      if (error.code === 'CONFLICT') await this.#leadership.stepDown()
      // Not waited for: the lane waits for this claim.
      else if (error.code !== 'MISCONFIGURED') throw error
      else if (this.#targets.get(name)?.generation === generation) this.remove(name).catch(warn)
      return []
    }
  }

  async #sweep({ backend }: SyncTarget): Promise<void> {
    const { signal } = this.#closing
    try {
      await backend.open({ signal })
      const olderThanMs = backend.capabilities.resume ? RESUMABLE_AGE_MS : DEBRIS_AGE_MS
      if (backend.capabilities.sweep) await backend.sweep({ olderThanMs, signal })
    } catch {
      // Debris is hidden and waits for the next start; what ails the backend is told by its jobs.
    }
  }

  #run(target: SyncTarget, job: Claimed, attempt: Try): Promise<void> {
    const { signal } = attempt
    const giveBack = () => this.#persist(job, () => this.#giveBack(job))
    if (signal.aborted) return giveBack()
    const poison = poisonOf(job)
    if (poison) return this.#persist(job, () => this.#park(target, job, poison, { retrialAfterMs: retrialAfter(job) }))
    return this.#suspects.take(job, signal, () => (signal.aborted ? giveBack() : this.#try(target, job, attempt)))
  }

  async #try(target: SyncTarget, job: Claimed, attempt: Try): Promise<void> {
    const { signal } = attempt
    const { backend, op, key, attempts } = job
    if (op === 'put') this.#emit({ type: 'sync:start', ...progress(job), attempts })
    try {
      if (job.retrial) await oweAgain(this.#services, job)
      if (isSuspect(job)) await this.#services.queue.mark(job, LEASE_MS)
      const trace: Trace = { key, backend, op, bytes: job.size }
      const moved = () => attempt.moved('answered')
      const event = await traced('sync', trace, () => runJob(this.#services, target, job, { signal, moved }))
      if (event) this.#emit(event)
      this.#makeRoom()
    } catch (cause) {
      await this.#fail(target, job, toStorageError(cause, { backend, op, key }, signal), attempt)
    }
  }

  async #fail(target: SyncTarget, job: Claimed, error: StorageError, { signal, isProbe, moved }: Try): Promise<void> {
    const verdict = signal.aborted ? 'nothing' : verdictOn(job.backend, error)
    moved(verdict, failureOf(error), error.retryAfterMs)
    await this.#persist(job, async () => {
      if (await dropIfUnwanted(this.#services, job)) return
      // Cut off by us, which says nothing of the backend: it goes on with the next start.
      if (signal.aborted) return this.#putBack(job, { afterMs: 0, free: true })
      const decision = decide(error, { attempts: job.attempts, verdict, isProbe })
      if (decision.park) return this.#park(target, job, error)
      const { afterMs, free } = decision
      await this.#putBack(job, { error, afterMs, free, anew: !mayGoOn(error) })
      this.#emit({ type: 'sync:retry', ...progress(job), attempts: job.attempts, error: failureOf(error), afterMs })
    })
  }

  async #putBack(job: Claimed, o: Parameters<Queue['retry']>[2]): Promise<void> {
    const { ledger, queue } = this.#services
    await ledger.transact((tx) => queue.retry(tx, job, o))
  }

  async #park(
    target: SyncTarget,
    job: Claimed,
    error: StorageError,
    o: { retrialAfterMs?: number } = {},
  ): Promise<void> {
    const event = await parkJob(this.#services, target, job, error, o)
    if (event) this.#emit(event)
  }

  async #giveBack(job: Claimed): Promise<void> {
    const { ledger, queue } = this.#services
    await ledger.transact((tx) => queue.giveBack(tx, job))
  }

  /** Settles a job. The ledger itself may fail: then again, until it can say what became of the job. */
  async #persist(job: Claimed, settle: () => Promise<void>): Promise<void> {
    for (let wait = LEDGER_RETRY_MS; ; wait = Math.min(2 * wait, MAX_LEDGER_RETRY_MS)) {
      try {
        return await settle()
      } catch (failure) {
        // Somebody else has the job now; or others changed its place each time, and nobody has it.
        if (StorageError.is(failure) && failure.code === 'CONFLICT') return this.#lanes.get(job.backend)?.suspect()
        warn(failure)
        // The next start recovers it.
        if (this.#closing.signal.aborted || this.#services.ledger.degraded) return
        await setTimeout(wait, undefined, { signal: this.#closing.signal }).catch(() => {}) // Closing: once more, then no more.
      }
    }
  }

  /** One more copy was verified: bytes that others still owe may leave staging when that is too full. */
  #makeRoom(): void {
    if (!this.#services.staging.isAboveHighWater()) return
    this.#releasing ??= releaseVerified(
      this.#services,
      (view, name) => this.#targets.isReliable(view, name),
      Date.now(),
    )
      .catch(warn)
      .finally(() => {
        this.#releasing = null
      })
  }

  #emit(event: SyncEvent): void {
    for (const listener of this.#listeners) {
      try {
        listener(event)
      } catch (error) {
        warn(error)
      }
    }
  }
}

/** The ledger failed, or a listener threw. The work goes on; nothing is lost. */
function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error), { code: 'STORED_SYNC' })
}
