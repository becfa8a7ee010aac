import { setTimeout } from 'node:timers/promises'
import type { Claimed, Index, Queue, Staging, SyncEvent, Syncer, SyncTarget } from '@stored/core'
import { StorageError, toStorageError } from '@stored/core/backend'
import type { TreeLedger } from '@stored/lmdb'
import { Lane, type LaneOptions } from './lane.ts'
import { SyncLock } from './lock.ts'
import { decide } from './policy.ts'
import { dropIfUnwanted, parkJob, runJob, type Services } from './transfer.ts'

/** Debris of puts that crashed or were cut off. Younger files may be another process' put under way. */
const DEBRIS_AGE_MS = 60 * 60 * 1000
/** Tries that took their process with them, or their lease, before a job is parked. */
const MAX_CRASHES = 25
const LEDGER_RETRY_MS = 1000
const MAX_LEDGER_RETRY_MS = 60_000
/** What jobs get to end by themselves when the store closes. */
const CLOSE_GRACE_MS = 5000

export interface SyncDOptions {
  ledger: TreeLedger
  index: Index
  queue: Queue
  staging: Staging
  /** `false`: leave the syncing to another process, or to a later one. @default true */
  sync?: boolean
}

/** Empties the queue into the backends. Of the processes that have a store open, one syncs. */
export class SyncD implements Syncer {
  readonly #services: Services
  readonly #lock: SyncLock | null
  readonly #targets = new Map<string, SyncTarget>()
  readonly #lanes = new Map<string, Lane>()
  readonly #listeners = new Set<(event: SyncEvent) => void>()
  readonly #unsubscribe: () => void
  readonly #closing = new AbortController()
  readonly #sweeping = new Set<Promise<void>>()
  #closed: Promise<void> | undefined

  static async open({ sync = true, ...services }: SyncDOptions): Promise<SyncD> {
    const lock = sync ? await SyncLock.acquire(services.ledger) : null
    // Whoever claimed these is gone: the lock says so.
    if (lock) await services.queue.recover()
    return new SyncD(services, lock)
  }

  private constructor(services: Omit<SyncDOptions, 'sync'>, lock: SyncLock | null) {
    this.#services = { ...services, target: (name) => this.#targets.get(name) }
    this.#lock = lock
    this.#unsubscribe = services.queue.onWork((backend) => this.#lanes.get(backend)?.wake())
  }

  get active(): boolean {
    return this.#lock !== null
  }

  add(target: SyncTarget): void {
    const { name } = target.backend
    this.#targets.set(name, target)
    if (!this.#lock) return
    const run: LaneOptions['run'] = (job, signal, moved) => this.#run(target, job, signal, moved)
    this.#sweeping.add(this.#sweep(target))
    this.#lanes.set(name, new Lane({ queue: this.#services.queue, target, run, onError: warn }))
  }

  async remove(backend: string): Promise<void> {
    const lane = this.#lanes.get(backend)
    this.#lanes.delete(backend)
    await lane?.stop(0)
    this.#targets.delete(backend)
  }

  onEvent(listener: (event: SyncEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    this.#unsubscribe()
    this.#closing.abort(new Error('the store closes'))
    await Promise.all([...this.#lanes.values()].map((lane) => lane.stop(CLOSE_GRACE_MS)))
    await Promise.all(this.#sweeping)
    await this.#lock?.release()
  }

  async #sweep({ backend }: SyncTarget): Promise<void> {
    const { signal } = this.#closing
    try {
      await backend.open({ signal })
      if (backend.capabilities.sweep) await backend.sweep({ olderThanMs: DEBRIS_AGE_MS, signal })
    } catch {
      // Debris is hidden and waits for the next start; what ails the backend is told by its jobs.
    }
  }

  async #run(target: SyncTarget, job: Claimed, signal: AbortSignal, moved: () => void): Promise<void> {
    const { op, attempts } = job
    if (signal.aborted)
      return this.#fail(job, toStorageError(signal.reason, { op, backend: job.backend }, signal), signal)
    if (isPoison(job)) return this.#fail(job, neverEnded(job), signal)
    if (op === 'put') this.#emit({ type: 'sync:start', ...progress(job), attempts })
    try {
      const seq = await runJob(this.#services, target, job, { signal, moved })
      if (seq !== null) this.#emit({ type: 'sync:complete', ...progress(job), seq, op })
    } catch (cause) {
      await this.#fail(job, toStorageError(cause, { backend: job.backend, op, key: job.key }, signal), signal)
    }
  }

  /** Settles a job that failed. The ledger itself may fail: then again, until it can say what became of the job. */
  async #fail(job: Claimed, error: StorageError, signal: AbortSignal): Promise<void> {
    for (let wait = LEDGER_RETRY_MS; ; wait = Math.min(2 * wait, MAX_LEDGER_RETRY_MS)) {
      try {
        return await this.#settleFailure(job, error, signal)
      } catch (failure) {
        // Somebody else has the job now.
        if (StorageError.is(failure) && failure.code === 'CONFLICT') return
        warn(failure)
        // The next start recovers it.
        if (this.#closing.signal.aborted) return
        await setTimeout(wait, undefined, { signal: this.#closing.signal }).catch(() => {}) // Closing: once more, then no more.
      }
    }
  }

  async #settleFailure(job: Claimed, error: StorageError, signal: AbortSignal): Promise<void> {
    if (await dropIfUnwanted(this.#services, job)) return
    // Aborted by us, not by the backend: it goes on with the next start.
    const decision = signal.aborted ? { park: false as const, afterMs: 0 } : decide(error, job.attempts)
    if (decision.park || isPoison(job)) {
      const seq = await parkJob(this.#services, job, error)
      return this.#emit({ type: 'sync:error', ...progress(job), seq, error })
    }
    const { afterMs } = decision
    const { ledger, queue } = this.#services
    await ledger.transact((tx) => queue.retry(tx, job, { error, afterMs, free: signal.aborted }))
    if (!signal.aborted) this.#emit({ type: 'sync:retry', ...progress(job), attempts: job.attempts, error, afterMs })
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

function progress({ id, backend, key }: Claimed): {
  checksum: Claimed['id']
  backend: string
  key: string
  time: number
} {
  return { checksum: id, backend, key, time: Date.now() }
}

function isPoison({ crashes = 0 }: Claimed): boolean {
  return crashes >= MAX_CRASHES
}

function neverEnded({ backend, op, key, crashes }: Claimed): StorageError {
  return new StorageError('INTERNAL', { backend, op, key }, { detail: `begun ${crashes} times and never ended` })
}

/** The ledger failed, or a listener threw. The work goes on; nothing is lost. */
function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error), { code: 'STORED_SYNC' })
}
