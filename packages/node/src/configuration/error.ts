import { StorageError, type StorageErrorCode } from '@stored/core/backend'
import type { Fault } from './tree.ts'

/** An error of the configuration; of several faults each is a line. */
export function configError(code: StorageErrorCode, faults: readonly Fault[], cause?: unknown): StorageError {
  const detail = faults.map(({ where, text }) => `${where}: ${text}`).join('\n')
  return new StorageError(code, { op: 'config' }, { detail, ...(cause !== undefined && { cause }) })
}

/** Of a file that cannot be read or written. */
export function fileError(where: string, what: string, cause: unknown): StorageError {
  const fault = { where, text: `${what}: ${reasonOf(cause)}`, isDenial: isDenial(cause) }
  return configError(codeOf([fault]), [fault], cause)
}

/** For faults of what a configuration consists of. */
export function codeOf(faults: readonly Fault[]): StorageErrorCode {
  return faults.every(({ isDenial }) => isDenial) ? 'PERMISSION_DENIED' : 'MISCONFIGURED'
}

/** Whether rights are what is missing. */
export function isDenial(error: unknown): boolean {
  return ['EACCES', 'EPERM', 'EROFS'].includes(reasonOf(error))
}

/** What the system said: `ENOENT`. Never a message, which may quote what it should not. */
export function reasonOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? (error as Error).name
}
