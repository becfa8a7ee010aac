import { type ErrorLocation, StorageError } from '../backend/error.ts'
import { checkOptions, describeType, unknownName } from '../backend/options.ts'
import { guardBackend } from '../guard/guard.ts'
import type { GuardedBackend } from '../guard/guarded-backend.ts'
import type { MediumMemory } from '../guard/session.ts'
import type { BlobId, Place, SyncTarget } from '../ports.ts'
import { checkBackendName, idKey } from './names.ts'
import type { BackendOptions } from './types.ts'

const KNOWN_OPTIONS = ['backend', 'layout', 'overwrite', 'concurrency', 'bytesInFlight', 'idleTimeoutMs']
const DEFAULT_CONCURRENCY = 16
const DEFAULT_BYTES_IN_FLIGHT = 2 ** 30

export interface Configured extends SyncTarget {
  readonly name: string
  readonly backend: GuardedBackend
  readonly layout: 'key' | 'id'
}

/** The configured backends, in the order of the configuration. */
export class Backends {
  readonly #byName = new Map<string, Configured>()
  readonly #prefix: string
  readonly #mediumOf: (name: string) => MediumMemory

  constructor(prefix: string, mediumOf: (name: string) => MediumMemory) {
    this.#prefix = prefix
    this.#mediumOf = mediumOf
  }

  add(name: string, options: BackendOptions): Configured {
    const at = { op: 'addBackend', backend: name }
    checkBackendName(name, at)
    checkOptions(options, KNOWN_OPTIONS, at)
    if (this.#byName.has(name)) throw new StorageError('ALREADY_EXISTS', at)
    const configured = configure(name, options, this.#mediumOf(name), at)
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
    if (typeof name !== 'string')
      throw new StorageError('INVALID_ARGUMENT', at, {
        detail: `a backend is named by a string, not ${describeType(name)}`,
      })
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

function configure(name: string, options: BackendOptions, medium: MediumMemory, at: ErrorLocation): Configured {
  const { backend, layout = 'key', overwrite = false, idleTimeoutMs } = options
  if (layout !== 'key' && layout !== 'id')
    throw new StorageError('INVALID_ARGUMENT', at, { detail: 'layout is "key" or "id"' })
  for (const option of ['concurrency', 'bytesInFlight', 'idleTimeoutMs'] as const) {
    const value = options[option]
    if (value !== undefined && !(Number.isSafeInteger(value) && value > 0))
      throw new StorageError('INVALID_ARGUMENT', at, { detail: `${option} is a whole number from 1` })
  }
  if (typeof backend?.put !== 'function')
    throw new StorageError('INVALID_ARGUMENT', at, { detail: 'backend is no StorageBackend' })
  const most = backend.capabilities.limits?.maxConcurrent ?? DEFAULT_CONCURRENCY
  return {
    name,
    backend: guardBackend(backend, { name, medium, ...(idleTimeoutMs !== undefined && { idleTimeoutMs }) }),
    layout,
    overwrite,
    concurrency: options.concurrency ?? Math.min(most, DEFAULT_CONCURRENCY),
    bytesInFlight: options.bytesInFlight ?? DEFAULT_BYTES_IN_FLIGHT,
  }
}
