import { is, type Rule, type RulesOf } from '../../backend/rules.ts'
import type { BlobId } from '../../model/blob.ts'
import { isObjectOf, type LocationFacts } from '../../model/copy.ts'
import type { BoundPlaces } from '../../ports/index.ts'
import type { View } from '../../ports/ledger.ts'
import type { Services } from '../services.ts'
import type { ListEntry, ListOptions } from '../types.ts'
import { byPlace } from './copies.ts'
import { keyFactsOf, locationsOf } from './record.ts'
import { walkPages } from './walk.ts'

/** Rows that are read in one go: a key has a few, and its blob costs two reads more. With 300 of them a turn took 20 ms on a busy machine. */
const PAGE = 100
/** The same where few keys are asked for: many rows may come before the first of them. */
const LEAST = 50

const COUNT = is.whole(0)
const LIMIT: Rule = { ...COUNT, holds: (value) => value === Number.POSITIVE_INFINITY || COUNT.holds(value) }
export const LIST_OPTIONS: RulesOf<ListOptions> = {
  backend: is.text,
  prefix: is.keyPart,
  limit: LIMIT,
  after: is.keyPart,
  missing: is.boolean,
  internal: is.boolean,
  signal: is.signal,
}

/** The index in UTF-8 order of keys, in pages; no backend is asked. */
export async function* list(
  services: Services,
  options: ListOptions,
  signal: AbortSignal,
): AsyncGenerator<readonly ListEntry[], void, void> {
  const { backends, index, ledger } = services
  const { backend, prefix = '', after, limit = Number.POSITIVE_INFINITY } = options
  if (backend !== undefined) backends.get(backend, { op: 'list' })
  let left = limit
  if (left === 0) return
  const scope = { prefix, limit: Math.min(PAGE, Math.max(LEAST, left)), ...(after !== undefined && { after }) }
  const found = walkPages(ledger, signal, (view, from) => {
    const { items, next } = index.bindings(view, { ...scope, from })
    return { items: items.flatMap((bound) => entryOf(services, view, bound, options) ?? []), next }
  })
  for await (const page of found) {
    yield page.slice(0, left)
    left -= page.length
    if (left <= 0) return
  }
}

/** @returns `null`: it is not asked for. */
function entryOf(services: Services, view: View, bound: BoundPlaces, options: ListOptions): ListEntry | null {
  const { backend, missing = false } = options
  const { key, id, owner, size } = bound
  if (owner !== undefined && !options.internal) return null
  const own = bound.locations.filter((one) => one.id === id && isObjectOf(one, key))
  const locations = [...own, ...services.index.shared(view, id)].sort(byPlace)
  const there = locations.filter((one) => backend === undefined || one.backend === backend)
  const isThere =
    there.some(missing ? Boolean : isCopyThere) ||
    (backend === undefined && (missing || isBlobThere(services, view, id)))
  if (!isThere) return null
  const isConfigured = (name: string) => services.backends.has(name)
  return { id, size, ...keyFactsOf(bound), locations: locationsOf(locations, isConfigured) }
}

/** Whether a copy is there, or shall be: of what was only found missing, none is. */
export function isBlobThere({ index }: Pick<Services, 'index'>, view: View, id: BlobId): boolean {
  return (['synced', 'owing', 'former', 'wrong'] as const).some((standing) => index.hasPlace(view, { id, standing }))
}

function isCopyThere({ state }: LocationFacts): boolean {
  return state !== 'missing' && state !== 'deleting'
}
