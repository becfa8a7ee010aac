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
  // Callers that check whether a blob exists have handled this. The rest are races with other programs.
  [STATUS.NO_SUCH_FILE]: ['CONFLICT', 'removed by someone else during the call'],
  [STATUS.PERMISSION_DENIED]: ['PERMISSION_DENIED', 'the server refuses'],
  // Everything without a code of its own. Distinguishable cases were handled earlier; a failing disk may be repaired.
  [STATUS.FAILURE]: ['UNAVAILABLE', 'the server failed without giving a reason'],
  // OpenSSH's code for ENAMETOOLONG and EINVAL. If only the name was at fault, that was detected earlier.
  [STATUS.BAD_MESSAGE]: ['INTERNAL', 'the server refuses the request without giving a reason'],
  [STATUS.NO_CONNECTION]: ['UNAVAILABLE', 'the server has no connection'],
  [STATUS.CONNECTION_LOST]: ['UNAVAILABLE', 'the server lost its connection'],
  [STATUS.OP_UNSUPPORTED]: ['UNSUPPORTED', 'the server does not know the request'],
}

/** The status of a response, or `undefined` for any other error. */
export function statusOf(error: unknown): number | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'number' ? error.code : undefined
}

/** Whether the answer proves that nothing is there. OpenSSH answers this for paths below a file, too. */
export function saysAbsent(error: unknown): boolean {
  return statusOf(error) === STATUS.NO_SUCH_FILE
}

/** Translates the error of an operation. A StorageError passes unchanged. */
export function toSftpError(error: unknown, at: ErrorLocation, signal?: AbortSignal): StorageError {
  const code = CODES[statusOf(error) ?? 0]
  if (code === undefined || StorageError.is(error)) return toStorageError(error, at, signal)
  return new StorageError(code[0], at, { cause: error, detail: code[1] })
}

/**
 * Translates why there is no connection.
 *
 * @param error From `node:net`, or from ssh2, whose `level` tells how far it came.
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
    return new StorageError('MISCONFIGURED', at, { cause: error, detail: 'the server offers no SFTP for this account' })
  if (level === undefined || level === 'client-socket') {
    const mapped = mapErrno(error, at)
    if (mapped.code !== 'INTERNAL') return mapped
  }
  return new StorageError('UNAVAILABLE', at, { cause: error, detail: `no connection: ${message}` })
}
