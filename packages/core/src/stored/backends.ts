import { type ErrorLocation, StorageError } from '../backend/error.ts'
import { checkOptions, describeType, unknownName } from '../backend/options.ts'
import { guardBackend } from '../guard/guard.ts'
import type { GuardedBackend } from '../guard/guarded-backend.ts'
import type { BlobId, Place, SyncTarget } from '../ports.ts'
import { checkBackendName, idKey } from './names.ts'
import type { BackendOptions } from './types.ts'

const KNOWN_OPTIONS = ['backend', 'layout', 'overwrite', 'concurrency']
const DEFAULT_CONCURRENCY = 16

export interface Configured extends SyncTarget {
  readonly name: string
  readonly backend: GuardedBackend
  readonly layout: 'key' | 'id'
}

/** The configured backends, in the order of the configuration. */
export class Backends {
  readonly #byName = new Map<string, Configured>()
  readonly #prefix: string

  constructor(prefix: string) {
    this.#prefix = prefix
  }

  add(name: string, options: BackendOptions): Configured {
    const at = { op: 'addBackend', backend: name }
    checkBackendName(name, at)
    checkOptions(options, KNOWN_OPTIONS, at)
    if (this.#byName.has(name)) throw new StorageError('ALREADY_EXISTS', at)
    const configured = configure(name, options, at)
    this.#byName.set(name, configured)
    return configured
  }

  remove(name: string): void {
    this.#byName.delete(name)
  }

  has(name: string): boolean {
    return this.#byName.has(name)
  }

  /** @throws {StorageError} INVALID_ARGUMENT, naming the nearest that is configured. */
  get(name: string, at: ErrorLocation): Configured {
    const configured = this.#byName.get(name)
    if (!configured) throw unknownName('backend', name, [...this.#byName.keys()], at)
    return configured
  }

  /** @throws {StorageError} INVALID_ARGUMENT, also when `names` is one name instead of a list. */
  select(names: unknown, at: ErrorLocation): Configured[] {
    if (!Array.isArray(names))
      throw new StorageError('INVALID_ARGUMENT', at, {
        detail: `backends is an array of names, not ${describeType(names)}`,
      })
    return [...new Set(names)].map((name) => this.get(String(name), at))
  }

  all(): Configured[] {
    return [...this.#byName.values()]
  }

  /** Where a copy of a blob under a key lies on a backend. */
  placeOf({ name, layout }: Configured, key: string, id: BlobId): Place {
    return { backend: name, key: layout === 'id' ? idKey(this.#prefix, id) : key }
  }
}

function configure(
  name: string,
  { backend, layout = 'key', overwrite = false, concurrency }: BackendOptions,
  at: ErrorLocation,
): Configured {
  if (layout !== 'key' && layout !== 'id')
    throw new StorageError('INVALID_ARGUMENT', at, { detail: 'layout is "key" or "id"' })
  if (concurrency !== undefined && !(Number.isSafeInteger(concurrency) && concurrency > 0))
    throw new StorageError('INVALID_ARGUMENT', at, { detail: 'concurrency is a whole number from 1' })
  if (typeof backend?.put !== 'function')
    throw new StorageError('INVALID_ARGUMENT', at, { detail: 'backend is no StorageBackend' })
  const guarded = guardBackend(backend, { name })
  const most = backend.capabilities.limits?.maxConcurrent ?? DEFAULT_CONCURRENCY
  return { name, backend: guarded, layout, overwrite, concurrency: concurrency ?? Math.min(most, DEFAULT_CONCURRENCY) }
}
