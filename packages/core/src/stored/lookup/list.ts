import { toStorageError } from '../../backend/error.ts'
import { is, type Rule, type RulesOf } from '../../backend/rules.ts'
import type { LocationFacts } from '../../model/copy.ts'
import { knownOf } from '../get/get.ts'
import type { Services } from '../services.ts'
import type { ListEntry, ListOptions } from '../types.ts'
import { copiesUnder } from './copies-under.ts'
import { recordOf } from './record.ts'

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
  const at = { op: 'list' }
  const { index, backends } = services
  const { backend, prefix = '', after, limit = Number.POSITIVE_INFINITY, missing = false } = options
  if (backend !== undefined) backends.get(backend, at)
  let left = limit
  if (left === 0) return
  for await (const { key, id } of index.bindings({ signal, prefix, ...(after !== undefined && { after }) })) {
    // Of a key that is bound anew meanwhile the former blob may be forgotten.
    const known = (await index.known(id)) ?? (await knownOf(services, key))
    if (!known || !isWanted(key, known.locations, backend, missing)) continue
    yield { ...recordOf(key, known, (name) => backends.has(name)), key }
    if (--left === 0) return
  }
}

function isWanted(
  key: string,
  locations: readonly LocationFacts[],
  backend: string | undefined,
  missing: boolean,
): boolean {
  if (backend === undefined) return missing || isThere(locations)
  const there = copiesUnder(key, locations).filter((one) => one.backend === backend)
  return missing ? there.some(({ state }) => state !== 'deleting') : isThere(there)
}

/** Whether a copy is there, or shall be: of what was only found missing, none is. */
export function isThere(locations: readonly LocationFacts[]): boolean {
  return locations.some(({ state }) => state !== 'missing' && state !== 'deleting')
}
