import { StorageError } from '../../backend/error.ts'
import type { BlobId } from '../../model/blob.ts'
import type { Location } from '../../model/copy.ts'
import type { View } from '../../ports/ledger.ts'
import { backingOf } from '../delete/remaining.ts'
import { isServed, objectsOf, placesOfEach, sharedFor } from '../lookup/copies.ts'
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
  const copies = walk(ledger, signal, (view, from) => {
    const { items, next } = index.located(view, { backend: name, from, limit: PAGE })
    return { items: items.filter((location) => isNeeded(services, view, location)), next }
  })
  for await (const location of copies) {
    if (!(await isOnlyCopy(services, location, signal))) continue
    const detail = 'it holds the only copy of this blob, or of one of its keys; the option force gives it up'
    throw new StorageError('PRECONDITION_FAILED', { ...at, key: location.key }, { detail })
  }
}

/** Whether it may be that nothing on, or owed to, another backend serves all keys that this one serves. */
function isNeeded(services: Services, view: View, { id, key, state, shared, backend }: Location): boolean {
  const { index } = services
  if (state !== 'synced') return false
  // Of a blob without facts only places being cleaned are left; so it is with a key that went with a deletion.
  if (shared && !index.facts(view, id)) return false
  const isBacking = backingBeside(services, view, id, backend)
  const others = index.shared(view, id).filter(isBacking)
  if (shared)
    return !index.keyGroups(view, id).every((group) => !group.shared.includes(backend) || isServed(group, others))
  const bound = index.binding(view, key)
  if (bound?.facts?.id !== id) return false
  return sharedFor(bound, others).length === 0 && !objectsOf(services, view, id, key).some(isBacking)
}

/** Whether some key that wants a copy has no other one, one that goes with no other key: each of them is looked at. */
async function isOnlyCopy(
  services: Services,
  { id, shared, backend }: Location,
  signal: AbortSignal,
): Promise<boolean> {
  if (!shared) return true
  const { index, ledger } = services
  const bare = walk(ledger, signal, (view, from) => {
    const isBacking = backingBeside(services, view, id, backend)
    const keys = index.keys(view, id, { limit: PAGE, ...(from && { after: Buffer.from(from).toString() }) })
    const last = keys.at(-1)
    // A blob may have no key.
    const places = (['owing', 'synced'] as const).flatMap((one) => placesOfEach(services, view, id, one, 1))
    const isKeyless = last === undefined && !from && !places.some(isBacking)
    const others = index.shared(view, id).filter(isBacking)
    const isBare = (key: string) => {
      const bound = index.binding(view, key)
      if (bound?.wanted[backend] !== 'shared' || sharedFor(bound, others).length > 0) return false
      return !objectsOf(services, view, id, key).some(isBacking)
    }
    return {
      items: isKeyless ? [id] : keys.filter(isBare),
      next: last === undefined ? null : Buffer.from(last),
    }
  })
  for await (const _ of bare) return true
  return false
}

function backingBeside(services: Services, view: View, id: BlobId, backend: string): (one: Location) => boolean {
  const isBacking = backingOf(services, view, id)
  return (one) => one.backend !== backend && isBacking(one)
}
