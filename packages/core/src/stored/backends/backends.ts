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
import type { Tenure } from '../../model/tenure.ts'
import type { Index } from '../../ports/index.ts'
import type { Ledger, View } from '../../ports/ledger.ts'
import type { Generation, SyncTarget } from '../../ports/syncer.ts'
import { checkBackendName, idKey } from '../lookup/names.ts'
import type { BackendOptions } from '../types.ts'
import { isCurrent, isReliable } from './tenancy.ts'

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
  readonly index: Index
  readonly ledger: Ledger
  readonly prefix: string
  readonly mediumOf: (name: string, generation: Generation) => MediumMemory
  /** Hears what drivers, and the guards before them, have to say. */
  readonly log: (name: string, event: LogEvent) => void
  readonly own: readonly OwnPlace[]
}

/** The configured backends, in the order of the configuration. */
export class Backends {
  readonly #byName = new Map<string, Configured>()
  readonly #index: Index
  readonly #ledger: Ledger
  readonly #prefix: string
  readonly #mediumOf: BackendsContext['mediumOf']
  readonly #log: (name: string, event: LogEvent) => void
  readonly #own: readonly OwnPlace[]

  constructor({ index, ledger, prefix, mediumOf, log, own }: BackendsContext) {
    this.#index = index
    this.#ledger = ledger
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
    const generation = new PresentGeneration(() => this.#ledger.look((view) => this.#index.tenure(view, name)))
    generation.known.catch(() => {}) // Told to the first call that needs it.
    const medium = this.#mediumOf(name, generation)
    const log = (event: LogEvent) => this.#log(name, event)
    const configured = { ...configure(name, options, medium, log), generation }
    this.#byName.set(name, configured)
    return configured
  }

  /** What calls and plans need to know of those that were added a moment ago. */
  known(): Promise<unknown> | null {
    const unknown = [...this.#byName.values()].filter(({ generation }) => generation.value === undefined)
    return unknown.length > 0 ? Promise.all(unknown.map(({ generation }) => generation.known)) : null
  }

  /** Whether what this process has open under a name is what has it in the store. */
  isCurrent(view: View, name: string): boolean {
    return isCurrent({ index: this.#index }, view, name, this.#byName.get(name)?.generation)
  }

  /** Whether a copy there may be relied on, or one be owed. */
  isReliable(view: View, name: string): boolean {
    return isReliable({ index: this.#index }, view, name, this.#byName.get(name)?.generation)
  }

  *#addressed(): Generator<Addressed> {
    for (const { name, backend } of this.#byName.values()) yield { name, address: backend.address }
  }

  /** @returns Whether it was there. */
  remove({ name, backend }: Configured): boolean {
    return this.#byName.get(name)?.backend === backend && this.#byName.delete(name)
  }

  has(name: string): boolean {
    return this.#byName.has(name)
  }

  /** @throws {StorageError} INVALID_ARGUMENT, naming the nearest that is configured. */
  get(name: string, at: ErrorLocation): Configured {
    if (typeof name !== 'string')
      throw new StorageError('INVALID_ARGUMENT', at, {
        detail: `the name of a backend must be a string, not ${describeType(name)}`,
      })
    const configured = this.#byName.get(name)
    if (!configured) throw unknownName('backend', name, [...this.#byName.keys()], at)
    return configured
  }

  /** @throws {StorageError} INVALID_ARGUMENT, also when `names` is one name instead of a list. */
  select(names: unknown, at: ErrorLocation): Configured[] {
    if (!Array.isArray(names))
      throw new StorageError('INVALID_ARGUMENT', at, {
        detail: `backends must be an array of names, not ${describeType(names)}`,
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

/** That of a backend which is added now. What could not be read is asked for again. */
class PresentGeneration implements Generation {
  value: number | undefined
  readonly #read: () => Promise<Tenure>
  #reading: Promise<void> | null = null

  constructor(read: () => Promise<Tenure>) {
    this.#read = read
  }

  get known(): Promise<void> {
    if (this.value !== undefined) return Promise.resolve()
    this.#reading ??= this.#ask().finally(() => {
      this.#reading = null
    })
    return this.#reading
  }

  async #ask(): Promise<void> {
    const { generation } = await this.#read()
    this.value ??= generation
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
): Omit<Configured, 'generation'> {
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
