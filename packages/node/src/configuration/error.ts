import { StorageError, type StorageErrorCode } from '@stored/core/backend'
import type { Fault } from './tree.ts'

/** A configuration error; each of several faults takes a line. */
export function configError(code: StorageErrorCode, faults: readonly Fault[], cause?: unknown): StorageError {
  const detail = faults.map(({ where, text }) => `${where}: ${text}`).join('\n')
  return new StorageError(code, { op: 'config' }, { detail, ...(cause !== undefined && { cause }) })
}

/** The error for a file that cannot be read or written. */
export function fileError(where: string, what: string, cause: unknown): StorageError {
  const fault = { where, text: `${what}: ${reasonOf(cause)}`, isDenial: isDenial(cause) }
  return configError(codeOf([fault]), [fault], cause)
}

/** The code for faults in a configuration. */
export function codeOf(faults: readonly Fault[]): StorageErrorCode {
  return faults.every(({ isDenial }) => isDenial) ? 'PERMISSION_DENIED' : 'MISCONFIGURED'
}

/** Whether permissions are missing. */
export function isDenial(error: unknown): boolean {
  return ['EACCES', 'EPERM', 'EROFS'].includes(reasonOf(error))
}

/** The system's code: `ENOENT`. Never its message, which may quote something secret. */
export function reasonOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? (error as Error).name
}
