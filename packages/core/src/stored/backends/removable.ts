import { StorageError } from '../../backend/error.ts'
import type { Location } from '../../model/copy.ts'
import { isCopyOf } from '../lookup/copies-under.ts'
import type { Services } from '../services.ts'

/** @throws {StorageError} PRECONDITION_FAILED: jobs are waiting for the backend, or it holds the only copy of a blob. */
export async function checkRemovable(services: Services, name: string, signal: AbortSignal): Promise<void> {
  const { queue, index, staging } = services
  const at = { op: 'removeBackend', backend: name }
  const { waiting = 0, running = 0 } = (await queue.counts())[name] ?? {}
  const jobs = waiting + running
  if (jobs > 0) {
    const detail = `${jobs === 1 ? '1 job is' : `${jobs} jobs are`} waiting for it; the option force leaves them`
    throw new StorageError('PRECONDITION_FAILED', at, { detail })
  }
  for await (const location of index.located({ backend: name, signal })) {
    const { id, key, state } = location
    if (
      state !== 'synced' ||
      (await staging.ledger.look((view) => staging.has(view, id))) ||
      (await isCopiedElsewhere(services, location))
    )
      continue
    throw new StorageError(
      'PRECONDITION_FAILED',
      { ...at, key },
      { detail: 'it holds the only copy of this blob, or of one of its keys; the option force gives it up' },
    )
  }
}

/** Whether every key that this object serves has another copy, one that goes with no other key. */
async function isCopiedElsewhere(
  { index, backends }: Services,
  { id, key, shared, backend }: Location,
): Promise<boolean> {
  const known = await index.known(id)
  // Of a blob without facts only places being cleaned are left.
  if (known === null) return true
  const copies = known.locations.filter(
    (other) => other.state === 'synced' && other.backend !== backend && backends.has(other.backend),
  )
  const served = shared ? await Array.fromAsync(index.keys(id)) : [key]
  return copies.length > 0 && served.every((bound) => copies.some((copy) => isCopyOf(copy, bound)))
}
