import type { BlobId, Claimed, Opened } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import type { Services } from './transfer.ts'

/**
 * Opens the bytes of a job: what is staged, else a copy that another backend confirmed.
 *
 * @throws {StorageError} NOT_FOUND: there are none · UNAVAILABLE: those there are cannot be opened now.
 */
export async function openCopy(services: Services, job: Claimed, signal: AbortSignal): Promise<Opened> {
  const failures: unknown[] = []
  for (const open of await sourcesOf(services, job, signal)) {
    try {
      const opened = await open()
      if (opened) return opened
    } catch (error) {
      signal.throwIfAborted()
      failures.push(error)
    }
  }
  const at = { backend: job.backend, op: job.op, key: job.key }
  if (failures.length === 0)
    throw new StorageError('NOT_FOUND', at, { detail: 'its bytes are neither staged nor on another backend' })
  // What ails a source must not be taken for what ails the target.
  throw new StorageError('UNAVAILABLE', at, { cause: new AggregateError(failures), detail: 'its bytes cannot be read' })
}

async function sourcesOf(services: Services, { id, backend }: Claimed, signal: AbortSignal) {
  const known = await services.index.known(id)
  const copies = known?.locations.filter((other) => other.state === 'synced' && other.backend !== backend) ?? []
  return [
    () => services.staging.open(id, { signal }),
    ...copies.map((copy) => () => openOnBackend(services, id, copy, signal)),
  ]
}

async function openOnBackend(
  { target }: Services,
  id: BlobId,
  { backend, key }: { backend: string; key: string },
  signal: AbortSignal,
): Promise<Opened | null> {
  const found = target(backend)
  if (!found) return null
  const { stat, body } = await found.backend.get(key, { sha256: id.slice('sha256:'.length), signal })
  return { size: stat.size, body, [Symbol.asyncDispose]: async () => {} }
}
