import { type ErrorLocation, StorageError } from '../../backend/error.ts'
import type { BlobId } from '../../model/blob.ts'
import { type Location, owes, type Place } from '../../model/copy.ts'
import type { View } from '../../ports/ledger.ts'
import { eachKey, eachPlace, objectsOf, sharedPlaces } from '../lookup/copies.ts'
import type { Services } from '../services.ts'

type Rows = Pick<Services, 'backends' | 'index' | 'prefix' | 'staging'>
type Test = (location: Location) => boolean

/**
 * Whether each place that owes bytes which are not staged can be sure of a copy to read them from: whichever key is deleted or
 * bound anew, one copy at least outlives the place.
 *
 * An object of all keys goes with the last of them, that of one key with it.
 *
 * @param o.shared Places that all keys share.
 * @param o.isCopy Which places count as a copy.
 */
export function areCovered(
  rows: Pick<Rows, 'index'>,
  view: View,
  id: BlobId,
  { owing, shared, isCopy }: { owing: Iterable<Location>; shared: readonly Location[]; isCopy: Test },
): boolean {
  if (shared.some(isCopy)) return true
  for (const { key, shared: isOfAll } of owing)
    if (isOfAll || !objectsOf(rows, view, id, key).some(isCopy)) return false
  return true
}

/**
 * Whether enough is left of a blob when some of its copies go: bytes for readers, for each place that owes them, and for each key that
 * has some now. What is owed need not be staged: its bytes may have been released when a copy was verified.
 *
 * @throws {StorageError} PRECONDITION_FAILED.
 */
export function checkRemains(
  rows: Rows,
  view: View,
  id: BlobId,
  dropped: readonly Location[],
  at: ErrorLocation,
): void {
  const going = new Set(dropped.map(nameOf))
  const isLeft: Test = (location) => !going.has(nameOf(location))
  if (!remains(rows, view, id, dropped, isLeft))
    throw new StorageError('PRECONDITION_FAILED', at, { detail: 'no synced or staged copy would remain' })
  const bare = bareKey(rows, view, id, dropped, isLeft)
  if (bare === undefined) return
  const detail = `no synced or staged copy of key ${JSON.stringify(bare)} itself would remain`
  throw new StorageError('PRECONDITION_FAILED', at, { detail })
}

/** Whether there are still bytes for readers, and for every place that owes them. */
function remains(rows: Rows, view: View, id: BlobId, dropped: readonly Location[], isLeft: Test): boolean {
  const { backends, index, staging } = rows
  const isOwed = index.hasPlace(view, { id, standing: 'owing', except: dropped })
  if (isOwed && staging.has(view, id)) return true
  // A copy on a backend that is not configured, or is being removed, is none to rely on.
  const isCopy: Test = (one) => one.state === 'synced' && backends.isReliable(view, one.backend) && isLeft(one)
  if (!eachPlace(rows, view, id, ['synced']).some(isCopy)) return false
  const owing = eachPlace(rows, view, id, ['owing']).filter(isLeft)
  return areCovered(rows, view, id, { owing, shared: sharedPlaces(rows, view, id), isCopy })
}

/** A key that loses its last copy, or the last staged bytes for one. The object of another key goes with that key. */
function bareKey(rows: Rows, view: View, id: BlobId, dropped: readonly Location[], isLeft: Test): string | undefined {
  const isStaged = rows.staging.has(view, id)
  const isBacking: Test = (one) =>
    (isStaged && owes(one)) || (one.state === 'synced' && rows.backends.isReliable(view, one.backend))
  const sharedLeft = sharedPlaces(rows, view, id).filter(isLeft)
  if (sharedLeft.some(isBacking)) return undefined
  // Those that go are known: below a former prefix one may lie behind so many places of the blob that a search does not meet it.
  const shared = dropped.filter((one) => one.shared && isBacking(one))
  const isBound = (key: string) => rows.index.binding(view, key)?.id === id
  const keys = shared.length > 0 ? eachKey(rows, view, id) : dropped.map(({ key }) => key).filter(isBound)
  for (const key of keys) {
    const own = objectsOf(rows, view, id, key).filter(isBacking)
    if (shared.length + own.length > 0 && !own.some(isLeft)) return key
  }
  return undefined
}

/** Neither a backend's name nor a key holds a NUL. */
function nameOf({ backend, key }: Place): string {
  return `${backend}\0${key}`
}
