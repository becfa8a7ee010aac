import { type ErrorLocation, StorageError, type StorageErrorCode, type StorageErrorOptions } from './error.ts'

/** What a status means for a blob. @see RFC 9110 section 15, RFC 6585, RFC 4918 section 11. */
const CODES: Readonly<Record<number, StorageErrorCode>> = {
  400: 'INVALID_ARGUMENT',
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  405: 'UNSUPPORTED',
  408: 'TIMEOUT',
  409: 'CONFLICT',
  410: 'NOT_FOUND',
  411: 'INVALID_ARGUMENT',
  412: 'PRECONDITION_FAILED',
  413: 'TOO_LARGE',
  414: 'INVALID_KEY',
  416: 'RANGE_NOT_SATISFIABLE',
  421: 'MISCONFIGURED',
  423: 'CONFLICT',
  425: 'UNAVAILABLE',
  429: 'RATE_LIMITED',
  431: 'TOO_LARGE',
  500: 'UNAVAILABLE',
  501: 'UNSUPPORTED',
  502: 'UNAVAILABLE',
  503: 'UNAVAILABLE',
  504: 'TIMEOUT',
  507: 'NO_SPACE',
  509: 'RATE_LIMITED',
}

/** If a server asks for a century, wait a day. */
const MAX_WAIT_MS = 24 * 3_600_000

/** What a response says besides its status. */
export interface HttpErrorOptions extends StorageErrorOptions {
  /** The `Retry-After` field: seconds or a date, capped at one day. @see RFC 9110 section 10.2.3. */
  readonly retryAfter?: string | null
}

/**
 * The StorageError for an unsuccessful response. A driver first decides what a status means for its request: a 412 in
 * answer to `If-None-Match: *` is ALREADY_EXISTS, not PRECONDITION_FAILED.
 *
 * A 5xx that is not in the table is UNAVAILABLE, any other status INTERNAL.
 */
export function mapHttp(status: number, at: ErrorLocation, options: HttpErrorOptions = {}): StorageError {
  const { retryAfter, ...rest } = options
  const code = CODES[status] ?? (status >= 500 && status < 600 ? 'UNAVAILABLE' : 'INTERNAL')
  const retryAfterMs = rest.retryAfterMs ?? waitOf(retryAfter)
  return new StorageError(code, at, {
    detail: `HTTP ${status}`,
    ...rest,
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  })
}

function waitOf(retryAfter: string | null | undefined): number | undefined {
  if (retryAfter === undefined || retryAfter === null) return undefined
  const ms = /^\s*\d+\s*$/.test(retryAfter) ? Number(retryAfter) * 1000 : Date.parse(retryAfter) - Date.now()
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(0, ms), MAX_WAIT_MS)
}
