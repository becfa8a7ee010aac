import { type ErrorLocation, mapErrno, StorageError, type StorageErrorCode, toStorageError } from '@stored/core/backend'

/** Errnos that mean something more specific here than usual. */
const HERE: Readonly<Record<string, readonly [StorageErrorCode, string]>> = {
  EXDEV: ['MISCONFIGURED', '.stored is on another file system than the root'],
  ELOOP: ['KEY_CONFLICT', 'a symbolic link is in the way'],
  // Callers that check whether a blob exists have handled these. The rest are races with other programs.
  ENOENT: ['CONFLICT', 'removed by someone else during the call'],
}

/** The `code` of a failed system call, or `undefined` for any other value. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

/** An error as the system would raise it. */
export function errnoError(code: 'ENOENT' | 'ENOTDIR' | 'ELOOP', path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code, path })
}

/** Whether a failed call proves that no blob is there: no entry, nothing below a file or a link, or a socket. */
export function saysAbsent(error: unknown): boolean {
  const code = errnoOf(error)
  return code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP' || code === 'ENXIO'
}

/** Translates the error of an operation. A StorageError passes unchanged. */
export function toFsError(error: unknown, at: ErrorLocation, signal?: AbortSignal): StorageError {
  const code = errnoOf(error)
  if (code === undefined || StorageError.is(error)) return toStorageError(error, at, signal)
  const here = HERE[code]
  return here ? new StorageError(here[0], at, { cause: error, detail: here[1] }) : mapErrno(error, at)
}
