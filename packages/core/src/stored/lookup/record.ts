import type { LocationFacts } from '../../model/copy.ts'
import type { Known } from '../../ports/index.ts'
import type { BlobRecord, RecordLocation } from '../types.ts'
import { copiesUnder } from './copies-under.ts'

/** The public shape, under an id or a key. Places being cleaned are gone for readers. */
export function recordOf(
  idOrKey: string,
  { facts, locations }: Pick<Known, 'facts'> & { locations: readonly LocationFacts[] },
  isConfigured: (backend: string) => boolean,
): BlobRecord {
  const shown = copiesUnder(idOrKey, locations).filter((location) => location.state !== 'deleting')
  return { ...facts, locations: shown.map((location) => locationOf(location, isConfigured(location.backend))) }
}

function locationOf(
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
