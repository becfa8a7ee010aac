import { printable } from './printable.ts'
import { redact, redactCause } from './redact.ts'

/** Every code. Each has a page in `docs/errors`. */
export const STORAGE_ERROR_CODES = [
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PRECONDITION_FAILED',
  'CONFLICT',
  'KEY_CONFLICT',
  'INVALID_KEY',
  'INVALID_ARGUMENT',
  'RANGE_NOT_SATISFIABLE',
  'PERMISSION_DENIED',
  'UNAUTHENTICATED',
  'UNSUPPORTED',
  'ABORTED',
  'TIMEOUT',
  'RATE_LIMITED',
  'UNAVAILABLE',
  'NO_SPACE',
  'TOO_LARGE',
  'SIZE_MISMATCH',
  'CHECKSUM_MISMATCH',
  'MISCONFIGURED',
  'CLOSED',
  // Only from the store, never from a driver: the source file changed while it was read.
  'SOURCE_CHANGED',
  // The source failed before its end; see `cause`. A driver passes it on.
  'SOURCE_FAILED',
  // Only from the store: staging is at its limit.
  'STAGING_FULL',
  // From the store: an index row cannot be read. From a driver: what its medium holds of a blob is inconsistent.
  'CORRUPT',
  // Only from the store: it was written by a newer version.
  'INCOMPATIBLE',
  // Not translated by the driver: see `cause`.
  'INTERNAL',
] as const

/** Why something failed. Codes are stable; messages are for people and may change. */
export type StorageErrorCode = (typeof STORAGE_ERROR_CODES)[number]

/** Where a call failed. Never holds a credential, or a URL that contains one. */
export interface ErrorLocation {
  /** The operation: a method of the contract or of the store. */
  readonly op: string
  /** The backend's name; absent if the store itself failed. */
  readonly backend?: string | undefined
  readonly key?: string | undefined
}

/** What is known about a failure beyond its code and place. */
export interface StorageErrorOptions {
  cause?: unknown
  /** Details for people beyond the code and place. */
  detail?: string
  /** Overrides the code's default. */
  retryable?: boolean
  /** The write may have landed anyway: look before you claim either outcome. */
  ambiguous?: boolean
  /** The backend asked to wait this long, in milliseconds. */
  retryAfterMs?: number
}

/**
 * The address of the page about `code`, which says when it happens and what to do. For callers that have only a code,
 * such as that of a parked job.
 */
export function errorPage(code: StorageErrorCode): string {
  return `https://github.com/stored/stored/blob/main/docs/errors/${code}.md`
}

const BRAND = Symbol.for('@stored/core/StorageError')
const RETRYABLE: ReadonlySet<StorageErrorCode> = new Set<StorageErrorCode>([
  'CONFLICT',
  'TIMEOUT',
  'RATE_LIMITED',
  'UNAVAILABLE',
  'STAGING_FULL',
])

/**
 *  * The only error that StoreD and its backends reject with. Branch on `code`. Detail and cause leave out what a
 *  Credential supplied, and are truncated.
 */
export class StorageError extends Error {
  static {
    StorageError.prototype.name = 'StorageError'
  }

  readonly code: StorageErrorCode
  readonly at: ErrorLocation
  /** Details for people beyond the code and place. */
  declare readonly detail?: string
  /** Whether the same call may succeed later without any change by the caller. */
  readonly retryable: boolean
  /** Whether a write may have landed although it was rejected. */
  readonly ambiguous: boolean
  declare readonly retryAfterMs?: number
  /** The page about the code. Node.js prints it below the stack of an uncaught error. */
  readonly url: string

  constructor(code: StorageErrorCode, at: ErrorLocation, options: StorageErrorOptions = {}) {
    const place = placeOf(at)
    const detail = options.detail === undefined ? undefined : redact(options.detail)
    super(describe(code, place, detail), 'cause' in options ? { cause: redactCause(options.cause) } : undefined)
    this.code = code
    this.at = place
    this.retryable = options.retryable ?? RETRYABLE.has(code)
    this.ambiguous = options.ambiguous ?? false
    if (detail !== undefined) this.detail = detail
    if (options.retryAfterMs !== undefined) this.retryAfterMs = options.retryAfterMs
    this.url = errorPage(code)
    // Callers of fetch and node:fs check for this name, not for a code.
    if (code === 'ABORTED') this.name = 'AbortError'
    Object.defineProperty(this, BRAND, { value: true })
  }

  /** Whether `value` is a StorageError, even from a second copy of this package, where `instanceof` fails. */
  static is(value: unknown): value is StorageError {
    return typeof value === 'object' && value !== null && isBranded(value)
  }
}

/** Anything can be thrown, even a value that throws when inspected. */
function isBranded(value: object): boolean {
  try {
    return BRAND in value
  } catch {
    return false
  }
}

/** The longest name that is shown in full: the length of the longest key. */
const MAX_NAME = 1024

/** `at` in a printable form: a caller may have passed anything as a name. */
function placeOf(at: ErrorLocation): ErrorLocation {
  const { op, backend, key } = at
  if (isShown(backend) && isShown(key)) return at
  return { op, ...nameOf('backend', backend), ...nameOf('key', key) }
}

function isShown(name: unknown): boolean {
  return name === undefined || (typeof name === 'string' && name.length <= MAX_NAME)
}

function nameOf(part: 'backend' | 'key', name: unknown): Partial<ErrorLocation> {
  return typeof name === 'string' ? { [part]: isShown(name) ? name : name.slice(0, 100) } : {}
}

/** Printable, because programs log it, Node.js prints it, and keys and server messages are untrusted. */
function describe(code: StorageErrorCode, at: ErrorLocation, detail: string | undefined): string {
  const place = [at.backend, at.op, at.key === undefined ? undefined : JSON.stringify(at.key)]
  const head = `${place.filter((part) => part !== undefined).join(' ')}: ${code}`
  return printable(detail === undefined ? head : `${head}: ${detail}`)
}

/**
 * `error` itself if it is a StorageError; otherwise ABORTED if `signal` is aborted, else INTERNAL, with `error` as its
 * cause.
 */
export function toStorageError(error: unknown, at: ErrorLocation, signal?: AbortSignal): StorageError {
  if (signal?.aborted && error === signal.reason) return new StorageError('ABORTED', at, { cause: signal.reason })
  if (StorageError.is(error)) return error
  if (signal?.aborted) return new StorageError('ABORTED', at, { cause: signal.reason })
  return new StorageError('INTERNAL', at, { cause: error, detail: messageOf(error) })
}

/** The message of anything thrown. */
export function messageOf(thrown: unknown): string {
  try {
    return String(thrown instanceof Error ? thrown.message : thrown)
  } catch {
    return 'something that cannot be shown'
  }
}
