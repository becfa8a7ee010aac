import { type ErrorLocation, messageOf, StorageError, type StorageErrorCode } from './error.ts'

/** What an error number means for a blob. @see errno(3), and getaddrinfo(3) for those that begin with EAI. */
const CODES: Readonly<Record<string, StorageErrorCode>> = {
  ENOENT: 'NOT_FOUND',
  EEXIST: 'ALREADY_EXISTS',
  EACCES: 'PERMISSION_DENIED',
  EPERM: 'PERMISSION_DENIED',
  EROFS: 'PERMISSION_DENIED',
  ENOSPC: 'NO_SPACE',
  EDQUOT: 'NO_SPACE',
  // EDQUOT on Linux, which Node.js does not name.
  'Unknown system error -122': 'NO_SPACE',
  EISDIR: 'KEY_CONFLICT',
  ENOTDIR: 'KEY_CONFLICT',
  ENOTEMPTY: 'KEY_CONFLICT',
  ENAMETOOLONG: 'INVALID_KEY',
  EILSEQ: 'INVALID_KEY',
  EFBIG: 'TOO_LARGE',
  ETIMEDOUT: 'TIMEOUT',
  // A fault of the medium, not of the blob: a bad sector, a pulled cable, a stale mount. A retry may succeed.
  EIO: 'UNAVAILABLE',
  ENODEV: 'UNAVAILABLE',
  ENXIO: 'UNAVAILABLE',
  ESTALE: 'UNAVAILABLE',
  ENOTCONN: 'UNAVAILABLE',
  EMFILE: 'UNAVAILABLE',
  ENFILE: 'UNAVAILABLE',
  ENOMEM: 'UNAVAILABLE',
  EAGAIN: 'UNAVAILABLE',
  EBUSY: 'UNAVAILABLE',
  ETXTBSY: 'UNAVAILABLE',
  ECONNABORTED: 'UNAVAILABLE',
  ECONNREFUSED: 'UNAVAILABLE',
  ECONNRESET: 'UNAVAILABLE',
  EPIPE: 'UNAVAILABLE',
  EHOSTDOWN: 'UNAVAILABLE',
  EHOSTUNREACH: 'UNAVAILABLE',
  ENETDOWN: 'UNAVAILABLE',
  ENETRESET: 'UNAVAILABLE',
  ENETUNREACH: 'UNAVAILABLE',
  ENOTFOUND: 'UNAVAILABLE',
  EAI_AGAIN: 'UNAVAILABLE',
}

/**
 * The StorageError for a failed system call, with `error` as its cause; a StorageError is returned unchanged. Numbers
 * that are not in the table become INTERNAL: a mistaken NOT_FOUND would read as "safe to write again".
 */
export function mapErrno(error: unknown, at: ErrorLocation): StorageError {
  if (StorageError.is(error)) return error
  const errno = errnoOf(error)
  const code = errno !== undefined && Object.hasOwn(CODES, errno) ? CODES[errno] : undefined
  if (code !== undefined) return new StorageError(code, at, { cause: error, detail: errno as string })
  return new StorageError('INTERNAL', at, { cause: error, detail: messageOf(error) })
}

function errnoOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}
