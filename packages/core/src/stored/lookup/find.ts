import { StorageError } from '../../backend/error.ts'
import { isId } from '../../backend/keys.ts'
import type { BlobFacts, BlobId } from '../../model/blob.ts'
import type { Location } from '../../model/copy.ts'
import type { Binding } from '../../model/key.ts'
import type { Page } from '../../ports/index.ts'
import type { View } from '../../ports/ledger.ts'
import type { Services } from '../services.ts'
import { byPlace, factsUnder, placesUnder } from './copies.ts'
import { idKey } from './names.ts'
import type { Named } from './record.ts'
import { walkPages } from './walk.ts'

/** Copies of an id that a record shows, beside those that all keys share. */
const MOST_SHOWN = 100
/** Keys among which one of the caller's is looked for. */
const MOST_NAMES = 100

type Rows = Pick<Services, 'index'>

/** A blob, what a name says of it, and its places that are meant by the name. */
export interface Found {
  readonly facts: BlobFacts
  readonly named: Named
  readonly locations: readonly Location[]
  /** An id has others. */
  readonly more: boolean
}

/** What a record shows of an id or a key. Places being cleaned are gone for readers. */
export function find(services: Pick<Services, 'index' | 'ledger' | 'prefix'>, idOrKey: string): Promise<Found | null> {
  return services.ledger.look((view) => found(services, view, idOrKey))
}

/** The same, of the moment of a view. */
export function found(services: Pick<Services, 'index' | 'prefix'>, view: View, idOrKey: string): Found | null {
  return isId(idOrKey) ? findId(services, view, idOrKey) : findKey(services, view, idOrKey)
}

function findKey(services: Rows, view: View, key: string): Found | null {
  const named = services.index.binding(view, key)
  if (!named?.facts) return null
  return { facts: named.facts, named, locations: placesUnder(services, view, named.id, key), more: false }
}

function findId(services: Pick<Services, 'index' | 'prefix'>, view: View, id: BlobId): Found | null {
  const facts = services.index.facts(view, id)
  if (!facts) return null
  const shared = services.index.shared(view, id)
  const { items, next } = placesOf(services, view, id, { limit: MOST_SHOWN + shared.length + 1 })
  const others = items.filter((one) => !one.shared)
  const locations = [...shared, ...others.slice(0, MOST_SHOWN)].sort(byPlace)
  return { facts, named: namedBy(services, view, id), locations, more: next !== null || others.length > MOST_SHOWN }
}

/** What is said of a blob by its id: as of the key that it has by it, else of the first one of the caller's. */
export function namedBy({ index, prefix }: Pick<Services, 'index' | 'prefix'>, view: View, id: BlobId): Named {
  const isPlain = (bound: Binding | null): bound is Binding => bound?.facts?.id === id && bound.owner === undefined
  const own = index.binding(view, idKey(prefix, id))
  if (isPlain(own)) return own
  const bindings = index.keys(view, id, { limit: MOST_NAMES }).flatMap((key) => index.binding(view, key) ?? [])
  const { created = 0, modified = created } = bindings[0] ?? {}
  return bindings.find(isPlain) ?? { mimeType: 'application/octet-stream', created, modified, custom: {} }
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
