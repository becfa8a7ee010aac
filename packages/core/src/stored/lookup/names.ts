import { type ErrorLocation, StorageError } from '../../backend/error.ts'
import { checkKey, isId } from '../../backend/keys.ts'
import { describeType, unknownName } from '../../backend/options.ts'
import type { Rule } from '../../backend/rules.ts'
import { ALGORITHMS, type BlobId } from '../../model/blob.ts'

const BACKEND_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

export const ID: Rule = {
  expected: '"sha256:" and 64 lower-case hex digits',
  holds: (value) => typeof value === 'string' && isId(value),
  shown: 'string',
}

/** @throws {StorageError} INVALID_KEY, also for a key of the form of an id: `get` could not tell them apart. */
export function checkStoreKey(key: unknown, at: ErrorLocation): asserts key is string {
  checkKey(key, at)
  if (isId(key)) throw new StorageError('INVALID_KEY', { ...at, key }, { detail: 'it has the form of an id' })
}

/** What is given where an id or a key is meant. @throws {StorageError} INVALID_KEY: it can be neither. */
export function checkName(idOrKey: unknown, at: { op: string }): asserts idOrKey is string {
  if (typeof idOrKey !== 'string' || !isId(idOrKey)) checkKey(idOrKey, { op: at.op })
}

/** @throws {StorageError} INVALID_ARGUMENT: one is not among `ALGORITHMS`. */
export function checkAlgorithms(algorithms: readonly string[], at: ErrorLocation): void {
  const known: readonly string[] = ALGORITHMS
  for (const name of algorithms) if (!known.includes(name)) throw unknownName('checksum', name, known, at)
}

/** @throws {StorageError} INVALID_ARGUMENT. */
export function checkBackendName(name: unknown, at: ErrorLocation): asserts name is string {
  if (typeof name === 'string' && BACKEND_NAME.test(name)) return
  const given = typeof name === 'string' ? JSON.stringify(name.slice(0, 100)) : describeType(name)
  const detail = `${given} is not a backend name: use letters, digits, ".", "_", "-", at most 64`
  throw new StorageError('INVALID_ARGUMENT', at, { detail })
}

/** Where a blob lies by its id: two levels of directories keep each of them small. */
export function idKey(prefix: string, id: BlobId): string {
  const hash = id.slice('sha256:'.length)
  return `${prefix}/sha256/${hash.slice(0, 2)}/${hash.slice(2, 4)}/${hash}`
}

/** The blob that has this key by its id; `null` when the key is not of that form. */
export function idOfKey(prefix: string, key: string): BlobId | null {
  const id = `sha256:${key.slice(-64)}`
  return isId(id) && key === idKey(prefix, id) ? id : null
}

/** Whether a key lies where only blobs that are named by their id belong. */
export function isAmongIds(prefix: string, key: string): boolean {
  return key.startsWith(`${prefix}/sha256/`)
}

export function hexOf(id: BlobId): string {
  return id.slice('sha256:'.length)
}
