import { type ErrorLocation, StorageError } from '../../backend/error.ts'
import type { BlobId } from '../../model/blob.ts'
import type { Binding } from '../../model/key.ts'
import type { View } from '../../ports/ledger.ts'
import { checkMatch, checkOwner } from '../lookup/conditions.ts'
import type { Services } from '../services.ts'
import type { KeyMatch } from '../types.ts'

type Rows = Pick<Services, 'index'>

/** What a caller wants to be deleted, or to have fewer copies. */
export interface Doomed {
  /** A key or an id. */
  readonly name: string
  /** What the key must be. */
  readonly ifMatch?: KeyMatch | undefined
}

/**
 * A key of the caller's, if there is one.
 *
 * @throws {StorageError} PRECONDITION_FAILED: it is not what the caller believes · INVALID_KEY: it belongs to a package.
 */
export function deletable({ index }: Rows, view: View, { name, ifMatch }: Doomed, at: ErrorLocation): Binding | null {
  const row = index.binding(view, name)
  const bound = row?.facts ? row : null
  if (bound) checkOwner(bound, undefined, at)
  checkMatch(bound, ifMatch, at)
  return bound
}

/** @throws {StorageError} PRECONDITION_FAILED: a package has a key of the blob, and counts on it. */
export function checkOwners({ index }: Rows, view: View, id: BlobId, at: ErrorLocation): void {
  const owner = index.keyGroups(view, id).find((group) => group.owner !== undefined)?.owner
  if (owner === undefined) return
  const detail = `a key of "${owner}" is bound to the blob: delete the other keys by name`
  throw new StorageError('PRECONDITION_FAILED', at, { detail })
}
