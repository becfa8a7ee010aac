import { StorageError } from '../../backend/error.ts'
import { isId } from '../../backend/keys.ts'
import type { RulesOf } from '../../backend/rules.ts'
import type { BlobId } from '../../model/blob.ts'
import type { Staged } from '../../ports/staging.ts'
import { transactWith } from '../also.ts'
import { namedBy } from '../lookup/find.ts'
import { checkStoreKey, ID } from '../lookup/names.ts'
import type { Services } from '../services.ts'
import type { LinkOptions } from '../types.ts'
import { receiveGood } from '../verify/repair.ts'
import { BytesWanted, planPut } from './plan-put.ts'
import { COMMIT_OPTIONS, check, type PutDone, targetsOf } from './put.ts'

const { key: _, ...OPTIONS } = COMMIT_OPTIONS
const UNTOLD = 'application/octet-stream'
export const LINK_OPTIONS: RulesOf<LinkOptions> = OPTIONS

/**
 * Binds a key to a blob that is known. Where copies are owed that need bytes, and none are staged, they are read from another copy first.
 *
 * @throws {StorageError} NOT_FOUND: no such blob, also if it was deleted meanwhile · what all its copies failed with.
 */
export async function link(
  services: Services,
  key: string,
  id: BlobId,
  options: LinkOptions,
  signal: AbortSignal,
): Promise<PutDone> {
  const at = { op: 'link', key }
  checkStoreKey(key, { op: at.op })
  if (!isId(id)) throw new StorageError('INVALID_ARGUMENT', at, { detail: `the id of a blob is ${ID.expected}` })
  const { options: asked, metadata } = check(options, at)
  const targets = targetsOf(services, options, at)
  const byName = services.mimeTypeOf(new Uint8Array(0), { key, path: undefined })
  const commit = async (staged: Staged | null): Promise<PutDone> => {
    const { value, events } = await transactWith(services, options.also, at, (tx, add) => {
      const known = services.index.facts(tx, id)
      if (!known) throw new StorageError('NOT_FOUND', at, { detail: `no blob is ${id}` })
      // Its bytes are not read: where the key tells no type, it has the one that the blob has by its id.
      const mimeType = byName === UNTOLD ? namedBy(services, tx, id).mimeType : byName
      const outcome = planPut(services, tx, {
        ...{ op: at.op, key, facts: known, mimeType, metadata, staged, targets },
        options: asked,
      })
      add()
      return outcome
    })
    if (value.forgotten) await services.cache?.drop(value.forgotten)
    return { ...value, key, events }
  }
  try {
    return await commit(null)
  } catch (error) {
    if (!(error instanceof BytesWanted)) throw error
    await using staged = await receiveGood(services, error.facts, {}, signal)
    return await commit(staged)
  }
}
