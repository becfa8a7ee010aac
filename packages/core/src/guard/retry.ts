import { setTimeout } from 'node:timers/promises'
import type { StorageError } from '../backend/error.ts'
import type { Operation } from './operation.ts'

/** The first wait, before jitter; doubled for each that follows. */
const BASE_MS = 100
const MAX_WAIT_MS = 10_000
/** A backend that wants more patience than this is better left to the caller. */
const MAX_ASKED_MS = 30_000

export interface RetryPolicy {
  /** Tries after the first. */
  readonly retries: number
  readonly random: () => number
  readonly delay: (ms: number, signal: AbortSignal) => Promise<void>
  /** Told of each failure after which another try is made. */
  onRetry?(failure: StorageError): void
}

export async function delay(ms: number, signal: AbortSignal): Promise<void> {
  await setTimeout(ms, undefined, { signal })
}

/** Calls `attempt` until it succeeds, fails for good, or the tries are spent. */
export async function retried<T>(policy: RetryPolicy, operation: Operation, attempt: () => Promise<T>): Promise<T> {
  for (let failures = 0; ; failures += 1) {
    try {
      return await attempt()
    } catch (error) {
      const failure = operation.failure(error)
      if (!(await waited(policy, operation, failure, failures))) throw failure
    }
  }
}

/** Waits for the next try after `failures` before this one. @returns `false` when there is to be none. */
export async function waited(
  policy: RetryPolicy,
  operation: Operation,
  failure: StorageError,
  failures: number,
): Promise<boolean> {
  if (failures >= policy.retries || operation.signal.aborted) return false
  const ms = waitOf(failure, failures, policy.random)
  if (ms === null) return false
  policy.onRetry?.(failure)
  await operation.until(policy.delay(ms, operation.signal))
  return true
}

/**
 * Exponential with full jitter, no less than what the backend asked for.
 *
 * @see https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 */
function waitOf({ retryable, retryAfterMs = 0 }: StorageError, failures: number, random: () => number): number | null {
  if (!retryable || retryAfterMs > MAX_ASKED_MS) return null
  return retryAfterMs + random() * Math.min(BASE_MS * 2 ** failures, MAX_WAIT_MS)
}
