import type { BigIntStats } from 'node:fs'
import { constants } from 'node:fs'
import type { Algorithm, Digests } from '@stored/core'
import { type ErrorLocation, mapErrno, StorageError } from '@stored/core/backend'

export interface FileTask {
  readonly path: string
  readonly algorithms: readonly Algorithm[]
}

/** How reading a file ended: plain data, because an Error that crosses threads loses its class and its code. */
export type FileOutcome =
  | { readonly digests: Digests }
  | { readonly fault: 'irregular' | 'changed' }
  | { readonly errno: Readonly<Record<string, unknown>> & { readonly message: string } }

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

/** @throws {StorageError} what `outcome` says. */
export function settle(outcome: FileOutcome, { path }: FileTask, at: ErrorLocation): Digests {
  if ('digests' in outcome) return outcome.digests
  if ('errno' in outcome) throw mapErrno(Object.assign(new Error(outcome.errno.message), outcome.errno), at)
  const file = JSON.stringify(path)
  if (outcome.fault === 'changed')
    throw new StorageError('SOURCE_CHANGED', at, { detail: `${file} changed while it was read` })
  throw new StorageError('INVALID_ARGUMENT', at, { detail: `${file} is not a regular file` })
}
