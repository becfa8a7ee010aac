import { inspect } from 'node:util'
import { StorageError, type StorageErrorCode } from '@stored/core/backend'
import { describe, expect, it } from 'vitest'
import { toS3Error } from './errors.ts'

const AT = { backend: 's3', op: 'put', key: 'a' }

/** As the SDK throws it. */
function answer(name: string, status: number, headers: Record<string, string> = {}, message = ''): Error {
  return Object.assign(new Error(message), {
    name,
    $metadata: { httpStatusCode: status, requestId: 'r1' },
    $response: { headers },
  })
}

const ANSWERS: readonly [string, number, StorageErrorCode][] = [
  ['NoSuchKey', 404, 'NOT_FOUND'],
  ['NotFound', 404, 'MISCONFIGURED'],
  ['NoSuchBucket', 404, 'MISCONFIGURED'],
  ['UnknownError', 404, 'MISCONFIGURED'],
  ['PermanentRedirect', 301, 'MISCONFIGURED'],
  ['AuthorizationHeaderMalformed', 400, 'MISCONFIGURED'],
  ['AccessDenied', 403, 'PERMISSION_DENIED'],
  ['UnknownError', 403, 'PERMISSION_DENIED'],
  ['InvalidAccessKeyId', 403, 'UNAUTHENTICATED'],
  ['SignatureDoesNotMatch', 403, 'UNAUTHENTICATED'],
  ['ExpiredToken', 400, 'UNAUTHENTICATED'],
  ['RequestTimeTooSkewed', 403, 'UNAUTHENTICATED'],
  ['PreconditionFailed', 412, 'PRECONDITION_FAILED'],
  ['ConditionalRequestConflict', 409, 'CONFLICT'],
  ['InvalidRange', 416, 'RANGE_NOT_SATISFIABLE'],
  ['SlowDown', 503, 'RATE_LIMITED'],
  ['TooManyRequests', 429, 'RATE_LIMITED'],
  ['ServiceUnavailable', 503, 'UNAVAILABLE'],
  ['InternalError', 500, 'UNAVAILABLE'],
  ['RequestTimeout', 400, 'TIMEOUT'],
  ['BadDigest', 400, 'UNAVAILABLE'],
  ['QuotaExceeded', 403, 'NO_SPACE'],
  ['EntityTooLarge', 400, 'TOO_LARGE'],
  ['KeyTooLongError', 400, 'INVALID_KEY'],
  ['NotImplemented', 501, 'UNSUPPORTED'],
]

describe('toS3Error', () => {
  for (const [name, status, code] of ANSWERS)
    it(`makes ${code} of ${name}, ${status}`, () => {
      expect(toS3Error(answer(name, status), AT)).toMatchObject({ code, at: AT })
    })

  it('keeps how long the service asks to wait', () => {
    expect(toS3Error(answer('SlowDown', 503, { 'retry-after': '7' }), AT).retryAfterMs).toBe(7_000)
  })

  it('says what may be wrong with the clock', () => {
    expect(toS3Error(answer('RequestTimeTooSkewed', 403), AT).message).toContain('clock')
  })

  it('calls a write that failed without a response ambiguous, but not one that was never sent', () => {
    const reset = Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' })
    const refused = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })
    expect(toS3Error(reset, AT, undefined, true)).toMatchObject({ code: 'UNAVAILABLE', ambiguous: true })
    expect(toS3Error(refused, AT, undefined, true)).toMatchObject({ code: 'UNAVAILABLE', ambiguous: false })
    expect(toS3Error(answer('InternalError', 500), AT, undefined, true).ambiguous).toBe(true)
    expect(toS3Error(answer('SlowDown', 503), AT, undefined, true).ambiguous).toBe(false)
  })

  it('turns any failure after an abort into ABORTED, and keeps the reason', () => {
    const reason = new Error('enough')
    const error = toS3Error(new Error('Request aborted'), AT, AbortSignal.abort(reason))
    expect(error).toMatchObject({ code: 'ABORTED', cause: reason })
  })

  it('keeps the code of an abort that has one', () => {
    const signal = AbortSignal.abort(new StorageError('CLOSED', { op: 'close' }))
    expect(toS3Error(new Error('Request aborted'), AT, signal)).toMatchObject({ code: 'CLOSED', at: AT })
  })

  it('turns an invalid certificate into MISCONFIGURED', () => {
    const error = Object.assign(new Error('self-signed certificate'), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' })
    expect(toS3Error(error, AT).code).toBe('MISCONFIGURED')
  })

  it('passes a StorageError unchanged', () => {
    const error = new StorageError('NO_SPACE', AT)
    expect(toS3Error(error, AT)).toBe(error)
  })

  it('drops the response, which contains the token that was sent', () => {
    const error = answer('AccessDenied', 403, { 'x-amz-security-token': 'secret-token' })
    expect(inspect(toS3Error(error, AT), { depth: 9 })).not.toContain('secret-token')
  })
})
