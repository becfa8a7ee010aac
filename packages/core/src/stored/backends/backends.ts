import type { LogEvent, StorageBackend } from '../../backend/contract.ts'
import { type ErrorLocation, StorageError } from '../../backend/error.ts'
import { type Addressed, checkApart, checkOutside, type OwnPlace } from '../../backend/one-medium.ts'
import { checkOptions, describeType, unknownName } from '../../backend/options.ts'
import { is, needed, type RulesOf } from '../../backend/rules.ts'
import { guardBackend } from '../../guard/guard.ts'
import type { GuardedBackend } from '../../guard/guarded-backend.ts'
import type { MediumMemory } from '../../guard/session.ts'
import type { BlobId } from '../../model/blob.ts'
import type { Place } from '../../model/copy.ts'
import type { SyncTarget } from '../../ports/syncer.ts'
import { checkBackendName, idKey } from '../lookup/names.ts'
import type { BackendOptions } from '../types.ts'

const OPTIONS: RulesOf<BackendOptions> = {
  backend: needed({ expected: 'a StorageBackend', holds: isBackend }),
  layout: is.oneOf(['key', 'id']),
  overwrite: is.boolean,
  concurrency: is.whole(1),
  bytesInFlight: is.whole(1),
  idleTimeoutMs: is.whole(1),
}
const DEFAULT_CONCURRENCY = 16
const DEFAULT_BYTES_IN_FLIGHT = 2 ** 30

export interface Configured extends SyncTarget {
  readonly name: string
  readonly backend: GuardedBackend
  readonly layout: 'key' | 'id'
}

interface BackendsContext {
  readonly prefix: string
  readonly mediumOf: (name: string) => MediumMemory
  /** Hears what drivers, and the guards before them, have to say. */
  readonly log: (name: string, event: LogEvent) => void
  readonly own: readonly OwnPlace[]
}

/** The configured backends, in the order of the configuration. */
export class Backends {
  readonly #byName = new Map<string, Configured>()
  readonly #prefix: string
  readonly #mediumOf: (name: string) => MediumMemory
  readonly #log: (name: string, event: LogEvent) => void
  readonly #own: readonly OwnPlace[]

  constructor({ prefix, mediumOf, log, own }: BackendsContext) {
    this.#prefix = prefix
    this.#mediumOf = mediumOf
    this.#log = log
    this.#own = own
  }

  add(name: string, given: BackendOptions): Configured {
    const at = { op: 'addBackend', backend: name }
    checkBackendName(name, at)
    const options = checkOptions(given, OPTIONS, at)
    if (this.#byName.has(name)) throw new StorageError('ALREADY_EXISTS', at)
    const addressed = { name, address: options.backend.address }
    checkApart(addressed, this.#addressed(), at)
    checkOutside(addressed, this.#own, at)
    const configured = configure(name, options, this.#mediumOf(name), (event) => this.#log(name, event))
    this.#byName.set(name, configured)
    return configured
  }

  *#addressed(): Generator<Addressed> {
    for (const { name, backend } of this.#byName.values()) yield { name, address: backend.address }
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
    return [...new Set(names)].map((name) => this.get(name, at))
  }

  all(): Configured[] {
    return [...this.#byName.values()]
  }

  /** Where a copy of a blob under a key lies on a backend. */
  placeOf({ name, layout }: Configured, key: string, id: BlobId): Place {
    return { backend: name, key: layout === 'id' ? idKey(this.#prefix, id) : key }
  }
}

/** Not by `instanceof`: a driver may bring its own copy of the contract. */
function isBackend(value: unknown): boolean {
  const { name, capabilities, put, get, stat, delete: remove, list } = value as StorageBackend
  const methods = [put, get, stat, remove, list]
  return typeof name === 'string' && is.object.holds(capabilities) && methods.every(is.callback.holds)
}

function configure(
  name: string,
  options: BackendOptions,
  medium: MediumMemory,
  log: (event: LogEvent) => void,
): Configured {
  const { backend, layout = 'key', overwrite = false, idleTimeoutMs } = options
  const most = backend.capabilities.limits?.maxConcurrent ?? DEFAULT_CONCURRENCY
  return {
    name,
    backend: guardBackend(backend, { name, medium, log, ...(idleTimeoutMs !== undefined && { idleTimeoutMs }) }),
    layout,
    overwrite,
    concurrency: options.concurrency ?? Math.min(most, DEFAULT_CONCURRENCY),
    bytesInFlight: options.bytesInFlight ?? DEFAULT_BYTES_IN_FLIGHT,
  }
}
