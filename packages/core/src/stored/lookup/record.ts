import type { BlobFacts } from '../../model/blob.ts'
import type { LocationFacts } from '../../model/copy.ts'
import type { BlobRecord, RecordLocation } from '../types.ts'

interface Known {
  readonly facts: BlobFacts
  readonly locations: readonly LocationFacts[]
  readonly more?: boolean
}

/** The public shape of a blob, and of those of its copies that a name means. */
export function recordOf(
  { facts, locations, more = false }: Known,
  isConfigured: (backend: string) => boolean,
): BlobRecord {
  const shown = locations.map((location) => locationOf(location, isConfigured(location.backend)))
  return { ...facts, locations: shown, ...(more && { more }) }
}

/** The public shape of a copy. */
export function locationOf(
  { backend, key, id, state, shared, holds, verified, error }: LocationFacts,
  configured: boolean,
): RecordLocation {
  const etag = holds?.id === id ? holds.etag : undefined
  return {
    backend,
    key,
    synced: state === 'synced' && configured,
    state: configured ? state : 'detached',
    ...(shared && { shared }),
    ...(etag !== undefined && { etag }),
    ...(verified !== undefined && { verified }),
    ...(error && { error }),
  }
}
