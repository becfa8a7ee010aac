import { type ErrorLocation, mapErrno, StorageError, type StorageErrorCode, toStorageError } from '@stored/core/backend'

/** Status codes of the protocol. @see draft-ietf-secsh-filexfer-02 section 7 */
export const STATUS = {
  EOF: 1,
  NO_SUCH_FILE: 2,
  PERMISSION_DENIED: 3,
  FAILURE: 4,
  BAD_MESSAGE: 5,
  NO_CONNECTION: 6,
  CONNECTION_LOST: 7,
  OP_UNSUPPORTED: 8,
} as const

const CODES: Readonly<Record<number, readonly [StorageErrorCode, string]>> = {
  // Callers that ask whether a blob exists have handled this. The rest are races with other programs.
  [STATUS.NO_SUCH_FILE]: ['CONFLICT', 'removed by someone else during the call'],
  [STATUS.PERMISSION_DENIED]: ['PERMISSION_DENIED', 'the server refuses'],
  // Whatever has no code of its own. What can be told apart was, before it came here; a failing disk may be mended.
  [STATUS.FAILURE]: ['UNAVAILABLE', 'the server failed and does not say why'],
  // OpenSSH's word for ENAMETOOLONG and EINVAL. Where it was about the name alone, that was found out before it came here.
  [STATUS.BAD_MESSAGE]: ['INTERNAL', 'the server refuses the request and does not say why'],
  [STATUS.NO_CONNECTION]: ['UNAVAILABLE', 'the server has no connection'],
  [STATUS.CONNECTION_LOST]: ['UNAVAILABLE', 'the server lost its connection'],
  [STATUS.OP_UNSUPPORTED]: ['UNSUPPORTED', 'the server does not know the request'],
}

/** The status that a request was answered with, or `undefined` for any other error. */
export function statusOf(error: unknown): number | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'number' ? error.code : undefined
}

/** Whether the answer says for certain that nothing is there. OpenSSH says so of what lies below a file, too. */
export function saysAbsent(error: unknown): boolean {
  return statusOf(error) === STATUS.NO_SUCH_FILE
}

/** Translates what an operation failed with. A StorageError passes as it is. */
export function toSftpError(error: unknown, at: ErrorLocation, signal?: AbortSignal): StorageError {
  const code = CODES[statusOf(error) ?? 0]
  if (code === undefined || StorageError.is(error)) return toStorageError(error, at, signal)
  return new StorageError(code[0], at, { cause: error, detail: code[1] })
}

/**
 * Translates why there is no connection.
 *
 * @param error Of `node:net`, or of ssh2, which says in `level` how far it came.
 */
export function toDialError(error: unknown, at: ErrorLocation): StorageError {
  if (StorageError.is(error)) return error
  const { level, message = '' } = error as { level?: unknown; message?: string }
  if (level === 'client-authentication' || level === 'agent')
    return new StorageError('UNAUTHENTICATED', at, {
      cause: error,
      detail: 'the server accepts none of the credentials',
    })
  if (level === 'client-timeout')
    return new StorageError('TIMEOUT', at, { cause: error, detail: 'the server is silent' })
  if (level === 'handshake')
    return new StorageError('MISCONFIGURED', at, { cause: error, detail: `no agreement with the server: ${message}` })
  if (/Unable to start subsystem/.test(message))
    return new StorageError('MISCONFIGURED', at, { cause: error, detail: 'the server has no SFTP for this account' })
  if (level === undefined || level === 'client-socket') {
    const mapped = mapErrno(error, at)
    if (mapped.code !== 'INTERNAL') return mapped
  }
  return new StorageError('UNAVAILABLE', at, { cause: error, detail: `no connection: ${message}` })
}
