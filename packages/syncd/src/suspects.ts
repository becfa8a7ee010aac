import type { Claimed } from '@stored/core'
import { StorageError } from '@stored/core/backend'

/** Tries that took their process with them before a job is parked. */
const MAX_CRASHES = 3
/** What has run for so long kills its process no more; it may hang, and the others shall not. */
const PATIENCE_MS = 5000

/**
 * Jobs that ran when their process died. One of them may have killed it: they begin one at a time, the next when the one before
 * has ended or has run for a while, so that only the guilty one collects crashes.
 */
export class Suspects {
  #last: Promise<void> = Promise.resolve()

  /** Runs `work` after that of all suspects before; at once for a job that is none. */
  take(job: Claimed, work: () => Promise<void>): Promise<void> {
    if (!isSuspect(job)) return work()
    const done = this.#last.then(work)
    this.#last = begunLongAgo(this.#last, done)
    return done
  }
}

/** Resolves when `done` settles, or some time after `begun` did. */
async function begunLongAgo(begun: Promise<void>, done: Promise<void>): Promise<void> {
  await begun
  const { promise: patience, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, PATIENCE_MS).unref()
  await Promise.allSettled([Promise.race([patience, done])])
  clearTimeout(timer)
}

export function isSuspect({ crashes = 0 }: Claimed): boolean {
  return crashes > 0
}

/** Why a job is parked instead of tried once more; `null` when it is not. */
export function poisonOf({ backend, op, key, crashes = 0 }: Claimed): StorageError | null {
  if (crashes < MAX_CRASHES) return null
  return new StorageError('INTERNAL', { backend, op, key }, { detail: `begun ${crashes} times and never ended` })
}
