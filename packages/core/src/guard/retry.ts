import { setTimeout } from 'node:timers/promises'
import type { StorageError } from '../backend/error.ts'
import type { Operation } from './operation.ts'

/** The first wait, before jitter; doubled for each later one. */
const BASE_MS = 100
const MAX_WAIT_MS = 10_000
/** If a backend asks for a longer wait than this, leave the decision to the caller. */
const MAX_ASKED_MS = 30_000

export interface RetryPolicy {
  /** Attempts after the first. */
  readonly retries: number
  readonly random: () => number
  readonly delay: (ms: number, signal: AbortSignal) => Promise<void>
  /** Called for each failure that is followed by another attempt. */
  onRetry?(failure: StorageError): void
}

export async function delay(ms: number, signal: AbortSignal): Promise<void> {
  await setTimeout(ms, undefined, { signal })
}

/** Calls `attempt` until it succeeds, fails permanently, or the attempts are used up. */
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

/** Waits before the next attempt; `failures` came before this one. @returns `false` if there is no further attempt. */
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
 * Exponential with full jitter, at least as long as the backend asked for.
 *
 * @see https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 */
function waitOf({ retryable, retryAfterMs = 0 }: StorageError, failures: number, random: () => number): number | null {
  if (!retryable || retryAfterMs > MAX_ASKED_MS) return null
  return retryAfterMs + random() * Math.min(BASE_MS * 2 ** failures, MAX_WAIT_MS)
}
