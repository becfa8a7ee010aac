import type { Claimed } from '@stored/core'
import { StorageError } from '@stored/core/backend'

/** Tries that took their process with them before a job is parked. */
const MAX_CRASHES = 3

/**
 * Jobs that ran when their process died. One of them may have killed it: they run one at a time, so that only the guilty one
 * collects crashes.
 */
export class Suspects {
  #last: Promise<void> = Promise.resolve()

  /** Runs `work` after that of all suspects before; at once for a job that is none. */
  take(job: Claimed, work: () => Promise<void>): Promise<void> {
    if (!isSuspect(job)) return work()
    this.#last = this.#last.then(work, work)
    return this.#last
  }
}

export function isSuspect({ crashes = 0 }: Claimed): boolean {
  return crashes > 0
}

/** Why a job is parked instead of tried once more; `null` when it is not. */
export function poisonOf({ backend, op, key, crashes = 0 }: Claimed): StorageError | null {
  if (crashes < MAX_CRASHES) return null
  return new StorageError('INTERNAL', { backend, op, key }, { detail: `begun ${crashes} times and never ended` })
}
