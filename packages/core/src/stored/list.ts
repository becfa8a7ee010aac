import { StorageError, toStorageError } from '../backend/error.ts'
import { checkOptions, describeType } from '../backend/options.ts'
import type { LocationFacts } from '../ports.ts'
import { knownOf } from './get.ts'
import { recordOf } from './record.ts'
import type { Services } from './services.ts'
import type { ListEntry, ListOptions } from './types.ts'

const KNOWN_OPTIONS = ['backend', 'prefix', 'limit', 'after', 'missing', 'signal']

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
  checkOptions(options, KNOWN_OPTIONS, at)
  const { index, backends } = services
  const { backend, prefix = '', after, limit = Number.POSITIVE_INFINITY, missing = false } = options
  if (backend !== undefined) backends.get(backend, at)
  for (const text of [prefix, after])
    if (text !== undefined && typeof text !== 'string')
      throw new StorageError('INVALID_ARGUMENT', at, {
        detail: `prefix and after are strings, not ${describeType(text)}`,
      })
  if (limit !== Number.POSITIVE_INFINITY && !(Number.isSafeInteger(limit) && limit >= 0))
    throw new StorageError('INVALID_ARGUMENT', at, { detail: 'limit is a whole number from 0' })
  let left = limit
  if (left === 0) return
  for await (const { key, id } of index.bindings({ signal, prefix, ...(after !== undefined && { after }) })) {
    // Of a key that is bound anew meanwhile the former blob may be forgotten.
    const known = (await index.known(id)) ?? (await knownOf(services, key))
    if (!known || !isWanted(known.locations, backend, missing)) continue
    yield { ...recordOf(known, (name) => backends.has(name)), key }
    if (--left === 0) return
  }
}

function isWanted(locations: readonly LocationFacts[], backend: string | undefined, missing: boolean): boolean {
  const live = locations.filter(({ state }) => state !== 'deleting')
  const there = backend === undefined ? live : live.filter((location) => location.backend === backend)
  if (there.length === 0) return backend === undefined
  return missing || there.some(({ state }) => state !== 'missing')
}
