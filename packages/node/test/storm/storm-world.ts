import path from 'node:path'
import { checksums } from '@stored/checksumd'
import { type FaultRates, FaultyBackend } from '@stored/conformance'
import { type BackendOptions, StoreD } from '@stored/core'
import { MemoryPlace, StorageError } from '@stored/core/backend'
import { BlobIndex } from '@stored/index'
import type { TreeLedger } from '@stored/ledger'
import { DurableStaging } from '@stored/staging'
import { JobQueue, SyncD } from '@stored/syncd'
import { LateBackend } from '../model/late-backend.ts'
import type { Name } from './calls.ts'
import { Random } from './random.ts'

/** How a store is opened; the next opening may be another. */
export interface Opening {
  readonly layouts: Readonly<Record<Name, 'key' | 'id'>>
  readonly prefix: string
}

export const FIRST_OPENING: Opening = { layouts: { a: 'key', b: 'id', c: 'key' }, prefix: 'blobs' }

/** Of `a` and `c`. */
const FAULTS: Partial<FaultRates> = { error: 0.15, applied: 0.1, rateLimited: 0.02, cut: 0.02 }

/** How many writes `a` and `c` refuse for good: their jobs are parked. */
const REFUSED = 0.08

export interface WorldOptions {
  readonly ledger: TreeLedger
  readonly directory: string
  readonly seed: number
  /** Stores on one ledger, as processes have it: they share no memory. The first one syncs. */
  readonly stores: number
  /** Bytes that may be staged, and above which part of it verified copies let them leave. */
  readonly limit: number
  readonly highWater: number
}

/**
 * Stores over one ledger and three backends: `a` has an object for each key to begin with, and fails now and then; `b` has one for each
 * blob; `c` has one for each key, decides no conditions, fails too, and comes and goes.
 */
export class StormWorld {
  readonly places: Readonly<Record<Name, MemoryPlace>> = {
    a: new MemoryPlace(),
    b: new MemoryPlace(),
    c: new MemoryPlace(),
  }
  readonly ledger: TreeLedger
  readonly staged: string
  readonly stores: StoreD<Name>[] = []
  readonly #options: WorldOptions
  readonly #faulty: FaultyBackend[] = []
  #opening = FIRST_OPENING
  readonly #random: Random
  #isHealed = false

  constructor(options: WorldOptions) {
    this.#options = options
    this.#random = new Random(options.seed)
    this.ledger = options.ledger
    this.staged = path.join(options.directory, 'staging')
  }

  async open(opening: Opening): Promise<void> {
    this.#opening = opening
    for (let i = 0; i < this.#options.stores; i++) await this.#open(i === 0)
  }

  async #open(sync: boolean): Promise<void> {
    const { ledger, limit, highWater } = this.#options
    const staging = await DurableStaging.open({ ledger, path: this.staged, limit, highWater })
    // That of open() reads the disk as well: from here on it is read for files alone.
    await staging.sweep()
    const index = new BlobIndex(ledger)
    await index.complete()
    const queue = new JobQueue(ledger)
    const syncer = await SyncD.open({ ledger, index, queue, staging, sync })
    const services = { ledger, index, queue, staging, syncer, checksums, mimeTypeOf: () => 'text/plain' }
    const backends = { a: this.#backend('a'), b: this.#backend('b'), c: this.#backend('c') }
    this.stores.push(new StoreD<Name>({ ...services, backends, prefix: this.#opening.prefix }))
  }

  /** Another backend over the same place: one that was closed is not used again. */
  #backend(name: Name): BackendOptions {
    const late = new LateBackend({ place: this.places[name], latencyMs: 1, plain: name === 'c', local: name === 'a' })
    const layout = this.#opening.layouts[name]
    if (name !== 'b') this.#refuseSome(late)
    if (name === 'b') return { backend: late, layout, concurrency: 4 }
    const faulty = new FaultyBackend(late, {
      ...(this.#isHealed ? {} : FAULTS),
      retryAfterMs: 5,
      seed: this.#options.seed,
    })
    this.#faulty.push(faulty)
    return { backend: faulty, layout, concurrency: 4, overwrite: name === 'c' }
  }

  #refuseSome(backend: LateBackend): void {
    const put = backend.put.bind(backend)
    backend.put = async (key, body, options) => {
      if (!this.#isHealed && this.#random.next() < REFUSED)
        throw new StorageError('TOO_LARGE', { backend: backend.name, op: 'put', key })
      return put(key, body, options)
    }
  }

  /** Adds `c` to a store, unless it has it, and no other store removed it. */
  async add(store: StoreD<Name>): Promise<void> {
    await store.listBackends()
    try {
      store.addBackend('c', this.#backend('c'))
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'ALREADY_EXISTS') throw error
    }
  }

  /** Nothing fails from now on. */
  heal(): void {
    this.#isHealed = true
    for (const faulty of this.#faulty) faulty.heal()
  }

  async close(): Promise<void> {
    for (const store of this.stores.splice(0).toReversed()) await store.close()
  }
}
