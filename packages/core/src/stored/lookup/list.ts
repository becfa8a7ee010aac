import { toStorageError } from '../../backend/error.ts'
import { is, type Rule, type RulesOf } from '../../backend/rules.ts'
import type { BlobId } from '../../model/blob.ts'
import type { LocationFacts } from '../../model/copy.ts'
import type { Binding } from '../../model/key.ts'
import type { View } from '../../ports/ledger.ts'
import type { Services } from '../services.ts'
import type { ListEntry, ListOptions } from '../types.ts'
import { placesUnder } from './copies.ts'
import { recordOf } from './record.ts'
import { walk } from './walk.ts'

/** Rows that are looked at in one go: each key among them costs some reads. */
const PAGE = 100

const COUNT = is.whole(0)
const LIMIT: Rule = { ...COUNT, holds: (value) => value === Number.POSITIVE_INFINITY || COUNT.holds(value) }
export const LIST_OPTIONS: RulesOf<ListOptions> = {
  backend: is.text,
  prefix: is.keyPart,
  limit: LIMIT,
  after: is.keyPart,
  missing: is.boolean,
  signal: is.signal,
}

/** Rows of the index in UTF-8 order of keys; no backend is asked. */
export async function* list(services: Services, options: ListOptions, signal: AbortSignal): AsyncGenerator<ListEntry> {
  try {
    yield* entries(services, options, signal)
  } catch (error) {
    throw toStorageError(error, { op: 'list' }, signal)
  }
}

async function* entries(services: Services, options: ListOptions, signal: AbortSignal): AsyncGenerator<ListEntry> {
  const { backends, index, ledger } = services
  const { backend, prefix = '', after, limit = Number.POSITIVE_INFINITY } = options
  if (backend !== undefined) backends.get(backend, { op: 'list' })
  let left = limit
  if (left === 0) return
  const scope = { prefix, limit: PAGE, ...(after !== undefined && { after }) }
  const found = walk(ledger, signal, (view, from) => {
    const { items, next } = index.bindings(view, { ...scope, from })
    return { items: items.flatMap((binding) => entryOf(services, view, binding, options) ?? []), next }
  })
  for await (const entry of found) {
    yield entry
    if (--left === 0) return
  }
}

/** @returns `null`: it is not asked for. */
function entryOf(services: Services, view: View, { key, id, facts }: Binding, options: ListOptions): ListEntry | null {
  const { backend, missing = false } = options
  if (!facts) return null
  const locations = placesUnder(services, view, id, key)
  const there = locations.filter((one) => one.backend === backend)
  const isThere =
    backend === undefined ? missing || isBlobThere(services, view, id) : there.some(missing ? Boolean : isCopyThere)
  if (!isThere) return null
  return { ...recordOf({ facts, locations }, (name) => services.backends.has(name)), key }
}

/** Whether a copy is there, or shall be: of what was only found missing, none is. */
export function isBlobThere({ index }: Pick<Services, 'index'>, view: View, id: BlobId): boolean {
  return (['synced', 'owing', 'former', 'wrong'] as const).some((standing) => index.hasPlace(view, { id, standing }))
}

function isCopyThere({ state }: LocationFacts): boolean {
  return state !== 'missing' && state !== 'deleting'
}
