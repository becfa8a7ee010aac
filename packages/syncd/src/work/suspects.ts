import type { Claimed } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import { INNOCENT_MS } from '../queue/limits.ts'
import { LEASE_MS } from './lane.ts'

/** Tries that took their process with them before a job is parked. */
const MAX_CRASHES = 3
/** What has run for so long seldom kills its process any more, and may hang: the next suspect begins. */
const PATIENCE_MS = 5000
/** By then a renewal of its lease shows that it ran for that long. */
const ALONE_MS = INNOCENT_MS + LEASE_MS / 3
const FIRST_RETRIAL_MS = 60 * 60 * 1000
const MAX_RETRIAL_MS = 24 * FIRST_RETRIAL_MS

/**
 * Jobs that ran when their process died. One of them may have killed it: they begin one at a time, the next when the one before
 * has ended or has run for a while. Where several were at it when the process died again, each goes on alone: only what dies with
 * nobody beside it collects crashes.
 */
export class Suspects {
  /** When the next suspect may begin. */
  #next: Promise<unknown> = Promise.resolve()
  /** When one may begin that has to be alone. */
  #alone: Promise<unknown> = Promise.resolve()

  /** Runs `work` after that of all suspects before; at once for a job that is none, or that is to end before its turn. */
  take(job: Claimed, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
    if (!isSuspect(job)) return work()
    // What was parked for its crashes is tried again alone: it is the one job that is known to kill.
    const isAlone = job.alone || job.retrial
    const turn = isAlone ? this.#alone : this.#next
    const done = turnOrEnd(turn, signal).then(work)
    const innocent = begunLongAgo(turn, done, ALONE_MS)
    this.#next = isAlone ? Promise.all([this.#next, innocent]) : begunLongAgo(turn, done, PATIENCE_MS)
    this.#alone = Promise.all([this.#alone, innocent])
    return done
  }
}

/** Resolves when it is its turn, or with the signal: what another job does is not waited for then. */
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

/** Why a job is parked instead of tried once more; `null` when it is not. */
export function poisonOf({ backend, op, key, crashes = 0, retrial }: Claimed): StorageError | null {
  if (crashes < MAX_CRASHES || retrial) return null
  return new StorageError('INTERNAL', { backend, op, key }, { detail: `started ${crashes} times and never ended` })
}

/** How long a job is left alone that killed its process so often, in milliseconds: an hour, then twice as long each time, up to a day. */
export function retrialAfter({ crashes = 0 }: Claimed): number {
  return Math.min(FIRST_RETRIAL_MS * 2 ** Math.max(0, crashes - MAX_CRASHES), MAX_RETRIAL_MS)
}
