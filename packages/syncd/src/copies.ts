import type { Claimed, Opened } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import type { Services } from './transfer.ts'

/** Opens the bytes of a job: what is staged, else a copy that another backend confirmed. */
export async function openCopy(services: Services, job: Claimed, signal: AbortSignal): Promise<Opened> {
  const staged = await services.staging.open(job.id, { signal })
  if (staged) return staged
  const known = await services.index.known(job.id)
  const sources = known?.locations.filter((other) => other.state === 'synced' && other.backend !== job.backend) ?? []
  for (const { backend, key } of sources) {
    const target = services.target(backend)
    if (!target) continue
    const { stat, body } = await target.backend.get(key, { sha256: job.id.slice('sha256:'.length), signal })
    return { size: stat.size, body, [Symbol.asyncDispose]: async () => {} }
  }
  const at = { backend: job.backend, op: job.op, key: job.key }
  throw new StorageError('NOT_FOUND', at, { detail: 'its bytes are neither staged nor on another backend' })
}
