import { StorageError } from '../../backend/error.ts'
import { isId } from '../../backend/keys.ts'
import type { BlobFacts, BlobId } from '../../model/blob.ts'
import type { Location } from '../../model/copy.ts'
import type { Page } from '../../ports/index.ts'
import type { View } from '../../ports/ledger.ts'
import type { Services } from '../services.ts'
import { byPlace, factsUnder, placesUnder } from './copies.ts'
import { walkPages } from './walk.ts'

/** Copies of an id that a record shows, beside those that all keys share. */
const MOST_SHOWN = 100

type Rows = Pick<Services, 'index'>

/** A blob, and its places that are meant by a name. */
export interface Found {
  readonly facts: BlobFacts
  readonly locations: readonly Location[]
  /** An id has others. */
  readonly more: boolean
}

/** What a record shows of an id or a key. Places being cleaned are gone for readers. */
export function find(services: Pick<Services, 'index' | 'ledger'>, idOrKey: string): Promise<Found | null> {
  return services.ledger.look((view) => found(services, view, idOrKey))
}

/** The same, of the moment of a view. */
export function found(services: Rows, view: View, idOrKey: string): Found | null {
  const facts = factsUnder(services, view, idOrKey)
  if (!facts) return null
  if (!isId(idOrKey)) return { facts, locations: placesUnder(services, view, facts.id, idOrKey), more: false }
  const shared = services.index.shared(view, facts.id)
  const { items, next } = placesOf(services, view, facts.id, { limit: MOST_SHOWN + shared.length + 1 })
  const others = items.filter((one) => !one.shared)
  const locations = [...shared, ...others.slice(0, MOST_SHOWN)].sort(byPlace)
  return { facts, locations, more: next !== null || others.length > MOST_SHOWN }
}

/**
 * All places that are meant by a name, those that owe the blob first, in pages, none of them empty: each as of one moment.
 *
 * @throws {StorageError} NOT_FOUND: the name is unknown.
 */
export function placesByPage(
  services: Pick<Services, 'index' | 'ledger'>,
  idOrKey: string,
  at: { readonly op: string },
  signal: AbortSignal,
): AsyncGenerator<readonly Location[], void, void> {
  return walkPages(services.ledger, signal, (view, from): Page<Location> => {
    const facts = factsUnder(services, view, idOrKey)
    if (!facts && !from) throw new StorageError('NOT_FOUND', { ...at, key: idOrKey })
    // Deleted since the page before.
    if (!facts) return { items: [], next: null }
    if (!isId(idOrKey)) return { items: placesUnder(services, view, facts.id, idOrKey), next: null }
    return placesOf(services, view, facts.id, { from })
  })
}

/** A page of the places of a blob, without those of keys that a deletion before has not come to. */
function placesOf({ index }: Rows, view: View, id: BlobId, o: Parameters<Rows['index']['live']>[2]): Page<Location> {
  const { items, next } = index.live(view, id, o)
  if (index.deletedKeys(view, id, { limit: 1 }).length === 0) return { items, next }
  const isGone = ({ key, shared }: Location) => !shared && index.binding(view, key)?.facts?.id !== id
  return { items: items.filter((one) => !isGone(one)), next }
}
