import type { StorageError, StorageErrorCode } from '@stored/core/backend'
import { MAX_DELAY_MS } from '../queue/limits.ts'

/**
 * What a try says about its backend.
 *
 * - `answered`: it did what was asked, or refused for a reason of the job's own
 * - `failed`: an outage, a stall, too many requests
 * - `unclear`: an unknown error; the cause may well be the job itself
 * - `unusable`: no job can succeed until somebody changes something
 * - `nothing`: the try ended for another reason
 */
export type Verdict = 'answered' | 'failed' | 'unclear' | 'unusable' | 'nothing'

/** Tries of one job before it is parked. */
export const MAX_ATTEMPTS = 25
const BASE_MS = 1000
const CAP_MS = 15 * 60 * 1000

/** Retrying cannot help: somebody must change something first. */
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

/** The try ended before the backend could answer. */
const CUT_OFF: ReadonlySet<StorageErrorCode> = new Set<StorageErrorCode>(['ABORTED', 'CLOSED', 'SOURCE_FAILED'])

/** No job of the backend can succeed until somebody changes something. */
const OF_THE_BACKEND: ReadonlySet<StorageErrorCode> = new Set<StorageErrorCode>(['UNAUTHENTICATED', 'MISCONFIGURED'])
/**
 * The same if others fail alike: it may also be one closed directory, or one blob that is too large for the space left.
 */
const PERHAPS_OF_THE_BACKEND: ReadonlySet<StorageErrorCode> = new Set<StorageErrorCode>([
  'PERMISSION_DENIED',
  'NO_SPACE',
])

/**
 * Errors after which a put may resume where it ended: the backend could not be reached. With any other error the cause
 * may be in what arrived, and the next put starts over.
 */
const BARRED: ReadonlySet<StorageErrorCode> = new Set<StorageErrorCode>([
  'ABORTED',
  'CLOSED',
  'MISCONFIGURED',
  'NO_SPACE',
  'PERMISSION_DENIED',
  'RATE_LIMITED',
  'TIMEOUT',
  'UNAUTHENTICATED',
  'UNAVAILABLE',
])

/** Whether the put after one that failed with `error` may resume from its checkpoint. */
export function mayGoOn({ code }: StorageError): boolean {
  return BARRED.has(code)
}

/** Whether waiting cannot help: credentials, configuration, permissions or quota. */
export function needsSomebody(code: StorageErrorCode): boolean {
  return OF_THE_BACKEND.has(code) || PERHAPS_OF_THE_BACKEND.has(code)
}

/**
 * What a failed try of a job for `backend` says about that backend. Sources of the bytes may fail too: that is not its
 * fault.
 */
export function verdictOn(backend: string, error: StorageError): Verdict {
  if (error.at.backend !== backend || CUT_OFF.has(error.code)) return 'nothing'
  if (OF_THE_BACKEND.has(error.code)) return 'unusable'
  if (error.code === 'INTERNAL') return 'unclear'
  return speaksOfOutage(error.code) ? 'failed' : 'answered'
}

/** Whether a job's recorded failure suggests that the next job will fail alike. */
export function speaksOfOutage(code: StorageErrorCode): boolean {
  return !PERMANENT.has(code) && !CUT_OFF.has(code) && code !== 'CONFLICT' && code !== 'INTERNAL'
}

export type Decision =
  | { readonly park: true }
  | { readonly park: false; readonly afterMs: number; readonly free: boolean }

/**
 * What becomes of a job whose try number `attempts` failed.
 *
 * @param isProbe The backend was known to fail: then, and if all its jobs fail alike, the try does not count.
 */
export function decide(
  error: StorageError,
  { attempts, verdict, isProbe }: { attempts: number; verdict: Verdict; isProbe: boolean },
  random: () => number = Math.random,
): Decision {
  const free = verdict === 'unusable' || error.code === 'RATE_LIMITED' || (isProbe && verdict === 'failed')
  if (PERMANENT.has(error.code) || (!free && attempts >= MAX_ATTEMPTS)) return { park: true }
  const afterMs = Math.max(backoff(attempts, random), error.retryAfterMs ?? 0)
  return { park: false, afterMs: Math.min(afterMs, MAX_DELAY_MS), free }
}

/**
 * Milliseconds to wait after try number `attempts`: exponential from 1 s up to 15 min, with full jitter, so that jobs
 * that failed together do not return together.
 *
 * @see https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 */
export function backoff(attempts: number, random: () => number = Math.random): number {
  return random() * Math.min(CAP_MS, BASE_MS * 2 ** (attempts - 1))
}
