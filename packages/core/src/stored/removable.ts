import { StorageError } from '../backend/error.ts'
import type { BlobId } from '../ports.ts'
import type { Services } from './services.ts'

/** @throws {StorageError} PRECONDITION_FAILED: jobs wait for the backend, or it holds the only copy of a blob. */
export async function checkRemovable(services: Services, name: string, signal: AbortSignal): Promise<void> {
  const { queue, index, staging } = services
  const at = { op: 'removeBackend', backend: name }
  const { waiting = 0, running = 0 } = (await queue.counts())[name] ?? {}
  if (waiting + running > 0)
    throw new StorageError('PRECONDITION_FAILED', at, {
      detail: `${waiting + running} jobs wait for it; force: true leaves them`,
    })
  for await (const { id, key, state } of index.located({ backend: name, signal })) {
    if (state !== 'synced' || (await staging.has(id)) || (await hasOtherCopy(services, id, name))) continue
    throw new StorageError(
      'PRECONDITION_FAILED',
      { ...at, key },
      { detail: 'it holds the only copy of this blob; force: true leaves it' },
    )
  }
}

async function hasOtherCopy({ index, backends }: Services, id: BlobId, name: string): Promise<boolean> {
  const known = await index.known(id)
  // Of a blob without facts only places being cleaned are left.
  if (known === null) return true
  return known.locations.some(({ state, backend }) => state === 'synced' && backend !== name && backends.has(backend))
}
