import type { Claimed } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import { INNOCENT_MS } from '../queue/limits.ts'
import { LEASE_MS } from './lane.ts'

/** Tries that took their process down before a job is parked. */
const MAX_CRASHES = 3
/** A job that has run this long rarely kills its process, and may hang: the next suspect starts. */
const PATIENCE_MS = 5000
/** After this a renewal of its lease shows that it ran that long. */
const ALONE_MS = INNOCENT_MS + LEASE_MS / 3
const FIRST_RETRIAL_MS = 60 * 60 * 1000
const MAX_RETRIAL_MS = 24 * FIRST_RETRIAL_MS

/**
 * Jobs that were running when their process died. One of them may have killed it, so they start one at a time, the next
 * when the one before has ended or has run for a while. If several were running when the process died again, each
 * continues alone: only a job that dies with nothing beside it collects crashes.
 */
export class Suspects {
  /** When the next suspect may start. */
  #next: Promise<unknown> = Promise.resolve()
  /** When one that must be alone may start. */
  #alone: Promise<unknown> = Promise.resolve()

  /** Runs `work` after that of all earlier suspects; at once if the job is not one, or is to end before its turn. */
  take(job: Claimed, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
    if (!isSuspect(job)) return work()
    // A job parked for its crashes is retried alone: it is the one job that is known to kill.
    const isAlone = job.alone || job.retrial
    const turn = isAlone ? this.#alone : this.#next
    const done = turnOrEnd(turn, signal).then(work)
    const innocent = begunLongAgo(turn, done, ALONE_MS)
    this.#next = isAlone ? Promise.all([this.#next, innocent]) : begunLongAgo(turn, done, PATIENCE_MS)
    this.#alone = Promise.all([this.#alone, innocent])
    return done
  }
}

/** Resolves when it is its turn, or when the signal aborts: other jobs are not waited for then. */
async function turnOrEnd(turn: Promise<unknown>, signal: AbortSignal): Promise<void> {
  const { promise: end, resolve } = Promise.withResolvers<void>()
  signal.addEventListener('abort', () => resolve(), { once: true })
  await Promise.race([turn, end])
}

/** Resolves when `done` settles, or some time after `begun` did. */
async function begunLongAgo(begun: Promise<unknown>, done: Promise<void>, ms: number): Promise<void> {
  await begun
  const { promise: patience, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, ms).unref()
  await Promise.allSettled([Promise.race([patience, done])])
  clearTimeout(timer)
}

export function isSuspect({ crashes = 0 }: Claimed): boolean {
  return crashes > 0
}

/** Why a job is parked instead of tried again; `null` if it is not. */
export function poisonOf({ backend, op, key, crashes = 0, retrial }: Claimed): StorageError | null {
  if (crashes < MAX_CRASHES || retrial) return null
  return new StorageError('INTERNAL', { backend, op, key }, { detail: `started ${crashes} times and never ended` })
}

/**
 * How long a job is left alone after this many crashes, in milliseconds: an hour, then twice as long each time, up to a
 * day.
 */
export function retrialAfter({ crashes = 0 }: Claimed): number {
  return Math.min(FIRST_RETRIAL_MS * 2 ** Math.max(0, crashes - MAX_CRASHES), MAX_RETRIAL_MS)
}
