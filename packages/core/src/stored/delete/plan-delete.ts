import { type ErrorLocation, StorageError } from '../../backend/error.ts'
import type {} from '../../model/blob.ts'
import { isObjectOf, type Location, owes } from '../../model/copy.ts'
import type { Known } from '../../ports/index.ts'
import { isCopyOf } from '../lookup/copies-under.ts'
import { type Begun, planRemoval, type Removal } from '../put/plan-put.ts'
import { areCovered } from './coverage.ts'

export interface DeletePlanInput {
  readonly known: Known
  /** Keys to unbind; with `backends` none. */
  readonly keys: readonly string[]
  readonly hasOtherKeys: boolean
  /** With `backends`: all keys bound to the blob, which shall each keep a copy of their own. */
  readonly bound: readonly string[]
  readonly begun: Begun
  /** A copy on a backend that is not configured is none to rely on. */
  readonly isConfigured: (backend: string) => boolean
  /** What is owed need not be: its bytes may have been released when a copy was verified. */
  readonly isStaged: boolean
  /** Drop copies there only. */
  readonly backends: readonly string[] | undefined
  /** The key the caller named, if any: only its objects are meant. */
  readonly key: string | undefined
}

/** What decides whether enough is left. */
export type Remaining = Pick<DeletePlanInput, 'bound' | 'isConfigured' | 'isStaged'>

export interface DeletePlan extends Removal {
  /** No key is left. */
  readonly forget: boolean
  /** Nothing owes the bytes any more. */
  readonly release: boolean
}

/** @throws {StorageError} PRECONDITION_FAILED when only copies are dropped and none would remain. */
export function planDelete(input: DeletePlanInput): DeletePlan {
  const { known, hasOtherKeys, backends } = input
  const live = known.locations.filter(({ state }) => state !== 'deleting')
  const forget = backends === undefined && !hasOtherKeys
  const keys = new Set(input.keys)
  const dropped = live.filter((location) => forget || isMeant(location, keys, input))
  const left = live.filter((location) => !dropped.includes(location))
  const at = { op: 'delete', key: input.key ?? known.facts.id }
  if (backends && dropped.length > 0) checkRemains(live, left, input, at)
  return {
    ...planRemoval(dropped, input.begun),
    forget,
    release: forget || !left.some(owes),
  }
}

/**
 * Whether enough is left of a blob when some of its copies go.
 *
 * @throws {StorageError} PRECONDITION_FAILED.
 */
export function checkRemains(
  live: readonly Location[],
  left: readonly Location[],
  input: Remaining,
  at: ErrorLocation,
): void {
  if (!remains(left, input))
    throw new StorageError('PRECONDITION_FAILED', at, { detail: 'no synced or staged copy would remain' })
  // The object of another key goes with that key.
  const bare = input.bound.find((key) => isBacked(key, live, input) && !isBacked(key, left, input))
  if (bare === undefined) return
  const detail = `no synced or staged copy of key ${JSON.stringify(bare)} itself would remain`
  throw new StorageError('PRECONDITION_FAILED', at, { detail })
}

/** Whether a copy, or staged bytes for one, last as long as this key. */
function isBacked(key: string, locations: readonly Location[], { isStaged, isConfigured }: Remaining): boolean {
  return locations.some(
    (location) =>
      isCopyOf(location, key) &&
      ((isStaged && owes(location)) || (location.state === 'synced' && isConfigured(location.backend))),
  )
}

/** Whether there are still bytes for readers, and for every place that owes them. */
function remains(left: readonly Location[], { isStaged, isConfigured }: Remaining): boolean {
  const owing = left.filter(owes)
  if (isStaged && owing.length > 0) return true
  const copies = left.filter(({ state, backend }) => state === 'synced' && isConfigured(backend))
  return copies.length > 0 && areCovered(owing, copies)
}

function isMeant(location: Location, keys: ReadonlySet<string>, { backends, key }: DeletePlanInput): boolean {
  if (!backends) return keys.has(location.key) && isObjectOf(location, location.key)
  return backends.includes(location.backend) && (key === undefined || isCopyOf(location, key))
}
