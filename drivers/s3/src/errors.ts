import { type ErrorLocation, mapErrno, mapHttp, StorageError, type StorageErrorCode } from '@stored/core/backend'

/** What S3's error codes mean for a blob, where the status alone does not tell. */
const CODES: Readonly<Record<string, StorageErrorCode>> = {
  NoSuchKey: 'NOT_FOUND',
  NoSuchUpload: 'NOT_FOUND',
  NoSuchBucket: 'MISCONFIGURED',
  InvalidBucketName: 'MISCONFIGURED',
  PermanentRedirect: 'MISCONFIGURED',
  AuthorizationHeaderMalformed: 'MISCONFIGURED',
  IllegalLocationConstraintException: 'MISCONFIGURED',
  InvalidAccessKeyId: 'UNAUTHENTICATED',
  SignatureDoesNotMatch: 'UNAUTHENTICATED',
  ExpiredToken: 'UNAUTHENTICATED',
  InvalidToken: 'UNAUTHENTICATED',
  TokenRefreshRequired: 'UNAUTHENTICATED',
  RequestTimeTooSkewed: 'UNAUTHENTICATED',
  RequestExpired: 'UNAUTHENTICATED',
  CredentialsProviderError: 'UNAUTHENTICATED',
  OperationAborted: 'CONFLICT',
  ConditionalRequestConflict: 'CONFLICT',
  ConcurrentModification: 'CONFLICT',
  SlowDown: 'RATE_LIMITED',
  SlowDownRead: 'RATE_LIMITED',
  SlowDownWrite: 'RATE_LIMITED',
  Throttling: 'RATE_LIMITED',
  ThrottlingException: 'RATE_LIMITED',
  RequestLimitExceeded: 'RATE_LIMITED',
  TemporaryRedirect: 'UNAVAILABLE',
  RequestTimeout: 'TIMEOUT',
  IncompleteBody: 'UNAVAILABLE',
  // The bytes changed in transit; from the same buffer they may arrive intact.
  BadDigest: 'UNAVAILABLE',
  XAmzContentSHA256Mismatch: 'UNAVAILABLE',
  QuotaExceeded: 'NO_SPACE',
  XMinioStorageFull: 'NO_SPACE',
  EntityTooLarge: 'TOO_LARGE',
  MetadataTooLarge: 'TOO_LARGE',
  KeyTooLongError: 'INVALID_KEY',
  InvalidURI: 'INVALID_KEY',
  XMinioInvalidObjectName: 'INVALID_KEY',
  XMinioParentIsObject: 'KEY_CONFLICT',
  XMinioObjectExistsAsDirectory: 'KEY_CONFLICT',
  InvalidObjectState: 'UNSUPPORTED',
}

const HINTS: Readonly<Record<string, string>> = {
  NoSuchBucket: 'there is no such bucket',
  PermanentRedirect: 'the bucket is in another region',
  AuthorizationHeaderMalformed: 'the bucket is in another region',
  RequestTimeTooSkewed: 'the clock of this machine is wrong',
  InvalidObjectState: 'the blob is archived and must be restored first',
}

/** The errors of a connection that cannot be secured. */
const TLS = /^(CERT_|ERR_TLS_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_MISMATCH|EPROTO$|ERR_SSL_)/
/** A server, or a proxy in front of it, gave up on something it had begun. */
const MAY_HAVE_HAPPENED: ReadonlySet<number> = new Set([500, 502, 504])
/** With these nothing was sent. */
const UNSENT = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'])

/** The parts of an SDK error that are examined. */
interface ServiceError extends Error {
  readonly $metadata?: { readonly httpStatusCode?: number; readonly requestId?: string }
  readonly $response?: { readonly headers?: Readonly<Record<string, string>> }
}

/** What came instead of an answer from S3: a login page, the page of a filter or of a proxy. */
export class NotS3 extends Error {
  override readonly name = 'NotS3'
  readonly status: number
  readonly retryAfter: string | null
  readonly also: string | undefined

  constructor(status: number, { type, location, retryAfter = null, also }: NotS3Fields) {
    // Only the host: the rest may contain a token.
    const to = location !== undefined && URL.canParse(location) ? `leads to ${new URL(location).host}` : undefined
    super([`HTTP ${status}`, type, to, also].filter((part) => part !== undefined).join(', '))
    this.status = status
    this.retryAfter = retryAfter
    this.also = also
  }
}

/** Header fields, and other reasons. */
interface NotS3Fields {
  readonly type: string | undefined
  readonly location: string | undefined
  readonly retryAfter: string | null | undefined
  readonly also?: string | undefined
}

/** Whether something other than S3 answered, and what it said. */
export function notS3Of(error: unknown): NotS3 | null {
  return StorageError.is(error) && error.cause instanceof NotS3 ? error.cause : null
}

/** What any server may say about a request, whatever is behind it: too large, or its name too long. */
const OF_THE_REQUEST: ReadonlySet<number> = new Set([413, 414, 431])

/**
 * Translates the SDK's error. A StorageError passes unchanged.
 *
 * @param isWrite Whether it may have taken effect despite failing.
 */
export function toS3Error(error: unknown, at: ErrorLocation, signal?: AbortSignal, isWrite = false): StorageError {
  if (StorageError.is(error)) return error
  if (signal?.aborted) return fromAbort(signal.reason, at, isWrite)
  if (error instanceof NotS3) return fromElsewhere(error, at, isWrite)
  const status = (error as ServiceError)?.$metadata?.httpStatusCode
  if (error instanceof Error && (status !== undefined || Object.hasOwn(CODES, error.name)))
    return fromAnswer(error as ServiceError, status, at, isWrite)
  return fromWire(error, at, isWrite)
}

/** A stall and a close are named by their reason. */
function fromAbort(reason: unknown, at: ErrorLocation, ambiguous: boolean): StorageError {
  if (!StorageError.is(reason)) return new StorageError('ABORTED', at, { cause: reason, ambiguous })
  const { code, detail, retryable, cause } = reason
  return new StorageError(code, at, { cause, retryable, ambiguous, ...(detail !== undefined && { detail }) })
}

/** The service behind it may have executed the request, or never have received it: it says nothing about the blob. */
function fromElsewhere(error: NotS3, at: ErrorLocation, isWrite: boolean): StorageError {
  const { status, retryAfter, message } = error
  const { code, retryAfterMs } = mapHttp(status, at, { retryAfter })
  const holds = OF_THE_REQUEST.has(status) || code === 'RATE_LIMITED' || code === 'TIMEOUT'
  return new StorageError(holds ? code : 'UNAVAILABLE', at, {
    cause: error,
    detail: `something other than S3 answers (${message})`,
    ambiguous: isWrite && (status < 300 || MAY_HAVE_HAPPENED.has(status)),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  })
}

function fromAnswer(error: ServiceError, status = 0, at: ErrorLocation, isWrite: boolean): StorageError {
  const { name } = error
  const code = Object.hasOwn(CODES, name) ? CODES[name] : undefined
  const detail = describe(error, status)
  // It says that it failed, not that nothing happened.
  const ambiguous = isWrite && (name === 'InternalError' || MAY_HAVE_HAPPENED.has(status))
  const options = { cause: causeOf(error), detail, ambiguous, retryAfter: error.$response?.headers?.['retry-after'] }
  const mapped = mapHttp(status, at, { ...options, retryAfter: options.retryAfter ?? null })
  const better = code ?? betterThan(mapped.code, status)
  const { retryAfterMs } = mapped
  return new StorageError(better, at, { ...options, ...(retryAfterMs !== undefined && { retryAfterMs }) })
}

/** Statuses that mean something different in S3. */
function betterThan(code: StorageErrorCode, status: number): StorageErrorCode {
  // An absence has a name. A response without one does not come from S3.
  if (code === 'NOT_FOUND') return 'MISCONFIGURED'
  if (status >= 300 && status < 400) return 'MISCONFIGURED'
  return code
}

function fromWire(error: unknown, at: ErrorLocation, isWrite: boolean): StorageError {
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
  const message = error instanceof Error ? error.message : String(error)
  if (TLS.test(code) || /^Region is missing/.test(message))
    return new StorageError('MISCONFIGURED', at, { cause: error, detail: code === '' ? message : code })
  // The response was not HTTP.
  if (code.startsWith('HPE_'))
    return new StorageError('UNAVAILABLE', at, {
      cause: causeOf(error),
      detail: 'no answer from S3',
      ambiguous: isWrite,
    })
  const { code: mapped, detail } = mapErrno(error, at)
  const ambiguous = isWrite && !UNSENT.has(code)
  // From the SDK, which uses the same name for a connection that was reset.
  const isLate = code === '' && error instanceof Error && error.name === 'TimeoutError'
  return new StorageError(isLate ? 'TIMEOUT' : mapped, at, {
    cause: error,
    ambiguous,
    ...(detail !== undefined && { detail }),
  })
}

function describe({ name, message }: ServiceError, status: number): string {
  const what = HINTS[name] ?? (['', 'UnknownError', name].includes(message) ? undefined : message)
  const source = status === 0 ? name : `HTTP ${status} ${name}`
  return what === undefined ? source : `${what} (${source})`
}

/** The error without its request and response, which contain tokens. */
function causeOf(error: unknown): unknown {
  if (!(error instanceof Error)) return undefined
  const { name, message, $metadata } = error as ServiceError
  const cause = Object.assign(new Error(message), { name })
  return $metadata?.requestId === undefined ? cause : Object.assign(cause, { requestId: $metadata.requestId })
}
