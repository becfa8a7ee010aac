import type { BlobFacts } from '../../model/blob.ts'
import type { LocationFacts } from '../../model/copy.ts'
import type { KeyFacts, NewBinding } from '../../model/key.ts'
import type { BlobRecord, RecordLocation } from '../types.ts'

/** What a record shows of a key. */
export interface Named extends KeyFacts, Partial<Pick<NewBinding, 'key' | 'owner'>> {
  readonly version?: string
}

interface Known {
  readonly facts: BlobFacts
  readonly named: Named
  readonly locations: readonly LocationFacts[]
  readonly more?: boolean
}

type IsConfigured = (backend: string) => boolean

/** The public shape of a blob under a name, and of those of its copies that the name means. */
export function recordOf({ facts, named, locations, more = false }: Known, isConfigured: IsConfigured): BlobRecord {
  return { ...facts, ...keyFactsOf(named), locations: locationsOf(locations, isConfigured), ...(more && { more }) }
}

/** The public shape of what belongs to a key. */
export function keyFactsOf<T extends Named>({ key, version, owner, mimeType, created, modified, custom }: T) {
  return {
    ...(key !== undefined && { key }),
    ...(version !== undefined && { version }),
    ...(owner !== undefined && { owner }),
    ...{ mimeType, created, modified, custom },
  } as Pick<T, keyof Named>
}

export function locationsOf(locations: readonly LocationFacts[], isConfigured: IsConfigured): RecordLocation[] {
  return locations.map((location) => locationOf(location, isConfigured(location.backend)))
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
