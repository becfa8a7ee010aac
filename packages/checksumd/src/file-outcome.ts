import { type BigIntStats, constants } from 'node:fs'
import type { Algorithm, Digests } from '@stored/core'
import { checkOptions, type ErrorLocation, is, mapErrno, StorageError } from '@stored/core/backend'
import { checkAlgorithms } from './hasher.ts'

export interface FileTask {
  readonly path: string
  readonly algorithms: readonly Algorithm[]
}

/** How reading a file ended: plain data, because an Error that crosses threads loses its class and its code. */
export type FileOutcome =
  | { readonly digests: Digests }
  | { readonly fault: 'irregular' | 'changed' }
  | { readonly errno: Readonly<Record<string, unknown>> & { readonly message: string } }

export const AT: ErrorLocation = { op: 'checksum' }

/** Bytes read at a time: larger ones gain nothing, smaller ones pay more system calls. */
export const CHUNK_BYTES = 1024 * 1024

// Without O_NONBLOCK, opening a pipe waits for its writer, for ever if there is none. Windows has no such flag.
export const OPEN_FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)

/** Whether a file that was read is the same from the first byte to the last. */
export function unchanged(before: BigIntStats, after: BigIntStats, bytesRead: number): boolean {
  return (
    before.size === after.size &&
    before.mtimeNs === after.mtimeNs &&
    before.ctimeNs === after.ctimeNs &&
    before.size === BigInt(bytesRead)
  )
}

/** @throws {StorageError} INVALID_ARGUMENT, before anything is opened. */
export function checkTask({ path, algorithms }: FileTask, options: object): void {
  checkAlgorithms(algorithms, AT)
  if (typeof path !== 'string' || path === '' || path.includes('\0')) {
    throw new StorageError('INVALID_ARGUMENT', AT, { detail: 'a path must be a string, not empty and without NUL' })
  }
  checkOptions(options, { signal: is.signal }, AT)
}

/** @throws {StorageError} what `outcome` says. */
export function settle(outcome: FileOutcome, { path }: FileTask): Digests {
  if ('digests' in outcome) return outcome.digests
  if ('errno' in outcome) throw fileError(Object.assign(new Error(outcome.errno.message), outcome.errno))
  const file = JSON.stringify(path)
  if (outcome.fault === 'changed')
    throw new StorageError('SOURCE_CHANGED', AT, { detail: `${file} changed while it was read` })
  throw new StorageError('INVALID_ARGUMENT', AT, { detail: `${file} is not a regular file` })
}

/** What a failed system call says of a path. Below a file there is nothing, where for keys ENOTDIR is a conflict. */
export function fileError(error: unknown): StorageError {
  const { code, message } = error as NodeJS.ErrnoException
  return new StorageError(code === 'ENOTDIR' ? 'NOT_FOUND' : mapErrno(error, AT).code, AT, {
    cause: error,
    detail: message,
  })
}
