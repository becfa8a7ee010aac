import { StorageError, type StorageErrorCode } from '@stored/core/backend'
import type { Fault } from './tree.ts'

/** An error of the configuration; of several faults each is a line. */
export function configError(code: StorageErrorCode, faults: readonly Fault[], cause?: unknown): StorageError {
  const detail = faults.map(({ where, text }) => `${where}: ${text}`).join('\n')
  return new StorageError(code, { op: 'config' }, { detail, ...(cause !== undefined && { cause }) })
}

/** What the system said: `ENOENT`. Never a message, which may quote what it should not. */
export function reasonOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? (error as Error).name
}
