import { StorageError } from '../../backend/error.ts'
import type { Location } from '../../model/copy.ts'
import type { View } from '../../ports/ledger.ts'
import { eachKey, eachPlace, objectsOf, sharedPlaces } from '../lookup/copies.ts'
import { walk } from '../lookup/walk.ts'
import type { Services } from '../services.ts'

/** Rows that are looked at in one go: each copy among them costs some reads. */
const PAGE = 100

/** @throws {StorageError} PRECONDITION_FAILED: jobs are waiting for the backend, or it holds the only copy of a blob. */
export async function checkRemovable(services: Services, name: string, signal: AbortSignal): Promise<void> {
  const { queue, index, ledger } = services
  const at = { op: 'removeBackend', backend: name }
  const { waiting = 0, running = 0 } = (await queue.counts())[name] ?? {}
  const jobs = waiting + running
  if (jobs > 0) {
    const detail = `${jobs === 1 ? '1 job is' : `${jobs} jobs are`} waiting for it; the option force leaves them`
    throw new StorageError('PRECONDITION_FAILED', at, { detail })
  }
  const onlyCopies = walk(ledger, signal, (view, from) => {
    const { items, next } = index.located(view, { backend: name, from, limit: PAGE })
    return { items: items.filter((location) => isOnlyCopy(services, view, location)), next }
  })
  for await (const { key } of onlyCopies)
    throw new StorageError(
      'PRECONDITION_FAILED',
      { ...at, key },
      { detail: 'it holds the only copy of this blob, or of one of its keys; the option force gives it up' },
    )
}

function isOnlyCopy(services: Services, view: View, location: Location): boolean {
  const { index, staging } = services
  if (location.state !== 'synced' || staging.has(view, location.id)) return false
  // Of a blob without facts only places being cleaned are left.
  return index.facts(view, location.id) !== null && !isCopiedElsewhere(services, view, location)
}

/** Whether every key that this object serves has another copy, one that goes with no other key. */
function isCopiedElsewhere(services: Services, view: View, { id, key, shared, backend }: Location): boolean {
  const { backends } = services
  const isCopy = (one: Location) =>
    one.state === 'synced' && one.backend !== backend && backends.isReliable(view, one.backend)
  if (sharedPlaces(services, view, id).some(isCopy)) return true
  const served = shared ? eachKey(services, view, id) : [key].values()
  return (
    served.every((bound) => objectsOf(services, view, id, bound).some(isCopy)) && hasCopy(services, view, id, isCopy)
  )
}

/** A blob may have no key. */
function hasCopy(services: Services, view: View, id: Location['id'], isCopy: (one: Location) => boolean): boolean {
  return eachPlace(services, view, id, ['synced']).some(isCopy)
}
