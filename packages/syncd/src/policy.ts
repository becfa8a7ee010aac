import type { StorageError, StorageErrorCode } from '@stored/core/backend'

/** Tries of one job before it is parked. */
export const MAX_ATTEMPTS = 25
const BASE_MS = 1000
const CAP_MS = 15 * 60 * 1000

/** Trying again cannot help: somebody has to change something first. */
const PERMANENT: ReadonlySet<StorageErrorCode> = new Set<StorageErrorCode>([
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PRECONDITION_FAILED',
  'KEY_CONFLICT',
  'INVALID_KEY',
  'INVALID_ARGUMENT',
  'UNSUPPORTED',
  'TOO_LARGE',
  'SIZE_MISMATCH',
  'CHECKSUM_MISMATCH',
  'CORRUPT',
])

/** The backend fails, not the job: it is tried for as long as that lasts. */
const OF_THE_BACKEND: ReadonlySet<StorageErrorCode> = new Set<StorageErrorCode>([
  'UNAVAILABLE',
  'UNAUTHENTICATED',
  'PERMISSION_DENIED',
  'MISCONFIGURED',
  'NO_SPACE',
  'RATE_LIMITED',
])

export type Decision = { readonly park: true } | { readonly park: false; readonly afterMs: number }

/** What becomes of a job whose try number `attempts` failed. */
export function decide(error: StorageError, attempts: number, random: () => number = Math.random): Decision {
  const isSpent = attempts >= MAX_ATTEMPTS && !OF_THE_BACKEND.has(error.code)
  if (PERMANENT.has(error.code) || isSpent) return { park: true }
  return { park: false, afterMs: Math.max(backoff(attempts, random), error.retryAfterMs ?? 0) }
}

/**
 * Milliseconds to wait after try number `attempts`: exponential from 1 s up to 15 min, with full jitter, so that jobs that
 * failed together do not come back together.
 *
 * @see https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 */
export function backoff(attempts: number, random: () => number = Math.random): number {
  return random() * Math.min(CAP_MS, BASE_MS * 2 ** (attempts - 1))
}
