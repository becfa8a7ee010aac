import { type ErrorLocation, StorageError } from '../../backend/error.ts'
import { isId } from '../../backend/keys.ts'
import type { Rule } from '../../backend/rules.ts'
import type { Binding } from '../../model/key.ts'
import type { KeyMatch } from '../types.ts'

export const MATCH: Rule = {
  expected: 'an id ("sha256:" and 64 lower-case hex digits), or { version } of a record',
  holds: (value) =>
    typeof value === 'string'
      ? isId(value)
      : typeof value === 'object' && value !== null && typeof (value as { version?: unknown }).version === 'string',
  shown: 'string',
}

/** A copy: what the caller changes later changes nothing here. */
export function matchOf(ifMatch: KeyMatch): KeyMatch {
  return typeof ifMatch === 'string' ? ifMatch : { version: String(ifMatch.version) }
}

/** @throws {StorageError} PRECONDITION_FAILED: the key is not what its caller believes it to be. */
export function checkMatch(bound: Binding | null, ifMatch: KeyMatch | undefined, at: ErrorLocation): void {
  if (ifMatch === undefined) return
  const isMatch = typeof ifMatch === 'string' ? bound?.id === ifMatch : bound?.version === ifMatch.version
  if (isMatch) return
  const changed = `the key has version ${JSON.stringify(bound?.version)}`
  const detail = bound && (typeof ifMatch === 'string' ? `the key is bound to ${bound.id}` : changed)
  throw new StorageError('PRECONDITION_FAILED', at, { detail: detail ?? 'the key is not bound' })
}

/** @throws {StorageError} INVALID_KEY: the key belongs to a package, and is changed by that alone; or is one of the caller's. */
export function checkOwner({ owner }: Binding, by: string | undefined, at: ErrorLocation): void {
  if (owner === by) return
  const detail =
    owner === undefined
      ? `it is no key of "${by}": choose another one`
      : `it belongs to "${owner}": change it through that package`
  throw new StorageError('INVALID_KEY', at, { detail })
}
