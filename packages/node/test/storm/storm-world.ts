import path from 'node:path'
import { checksums } from '@stored/checksumd'
import { type FaultRates, FaultyBackend } from '@stored/conformance'
import { type BackendOptions, StoreD } from '@stored/core'
import { MemoryPlace } from '@stored/core/backend'
import { BlobIndex } from '@stored/index'
import type { TreeLedger } from '@stored/ledger'
import { DurableStaging } from '@stored/staging'
import { JobQueue, SyncD } from '@stored/syncd'
import { LateBackend } from '../model/late-backend.ts'
import type { Name } from './calls.ts'

/** Of `a` and `c`. */
const FAULTS: Partial<FaultRates> = { error: 0.15, applied: 0.1, rateLimited: 0.02, cut: 0.02 }

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
 * Stores over one ledger and three backends: `a` has an object for each key, and fails now and then; `b` has one for each blob; `c` has one
 * for each key, decides no conditions, fails too, and comes and goes.
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
  readonly stagings: DurableStaging[] = []
  readonly #options: WorldOptions
  readonly #faulty: FaultyBackend[] = []
  #isHealed = false

  static async open(options: WorldOptions): Promise<StormWorld> {
    const world = new StormWorld(options)
    for (let i = 0; i < options.stores; i++) await world.#open(i === 0)
    return world
  }

  private constructor(options: WorldOptions) {
    this.#options = options
    this.ledger = options.ledger
    this.staged = path.join(options.directory, 'staging')
  }

  async #open(sync: boolean): Promise<void> {
    const { ledger, limit, highWater } = this.#options
    const staging = await DurableStaging.open({ ledger, path: this.staged, limit, highWater })
    // That of open() reads the disk as well: from here on it is read for files alone.
    await staging.sweep()
    const index = new BlobIndex(ledger)
    const queue = new JobQueue(ledger)
    const syncer = await SyncD.open({ ledger, index, queue, staging, sync })
    const services = { ledger, index, queue, staging, syncer, checksums, mimeTypeOf: () => 'text/plain' }
    const backends = { a: this.#backend('a'), b: this.#backend('b'), c: this.#backend('c') }
    this.stagings.push(staging)
    this.stores.push(new StoreD<Name>({ ...services, backends }))
  }

  /** Another backend over the same place: one that was closed is not used again. */
  #backend(name: Name): BackendOptions {
    const late = new LateBackend({ place: this.places[name], latencyMs: 1, plain: name === 'c', local: name === 'a' })
    if (name === 'b') return { backend: late, layout: 'id', concurrency: 4 }
    const faulty = new FaultyBackend(late, {
      ...(this.#isHealed ? {} : FAULTS),
      retryAfterMs: 5,
      seed: this.#options.seed,
    })
    this.#faulty.push(faulty)
    return { backend: faulty, concurrency: 4, overwrite: name === 'c' }
  }

  /** Adds `c` to a store, unless it has it. */
  add(store: StoreD<Name>): void {
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
    for (const store of this.stores.toReversed()) await store.close()
  }
}
