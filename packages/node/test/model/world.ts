import { checksums } from '@stored/checksumd'
import { type FaultRates, FaultyBackend } from '@stored/conformance'
import { type BackendOptions, StoreD } from '@stored/core'
import { MemoryPlace } from '@stored/core/backend'
import { BlobIndex } from '@stored/index'
import { MemoryLedger, type TreeLedger } from '@stored/ledger'
import { DurableStaging } from '@stored/staging'
import { JobQueue, SyncD } from '@stored/syncd'
import { LateBackend } from './late-backend.ts'
import { MemoryReadCache } from './memory-read-cache.ts'
import type { WallClock } from './wall-clock.ts'

/** `near`: local, an object for each key. `ids`: remote, an object for each blob. `far`: remote, where things go wrong. */
export type Name = 'near' | 'ids' | 'far'

export interface Setup {
  readonly names: readonly Name[]
  /** Of `far`. */
  readonly layout: 'key' | 'id'
  /** Of all faults. */
  readonly seed: number
}

const STAGING_LIMIT = 3000
const HIGH_WATER = 0.5
const CACHE_SIZE = 4000

interface Services {
  readonly index: BlobIndex
  readonly queue: JobQueue
  readonly staging: DurableStaging
}

/** A store, what its process leaves behind when it ends, and what its backends hold. Everything but time stands still between calls. */
export class World {
  readonly setup: Setup
  readonly clock: WallClock
  readonly places: Readonly<Record<Name, MemoryPlace>> = {
    near: new MemoryPlace(),
    ids: new MemoryPlace(),
    far: new MemoryPlace(),
  }
  readonly #directory: string
  readonly #ledger = new MemoryLedger()
  readonly #cache = new MemoryReadCache(CACHE_SIZE)
  #process = { isDead: false }
  #processes = 0
  #rates: Partial<FaultRates> = {}
  #outage: Error | null = null
  #faulty!: FaultyBackend
  store!: StoreD<Name>
  services!: Services

  /** @param directory Stays empty: all blobs are part of the commit. */
  static async open(setup: Setup, clock: WallClock, directory: string): Promise<World> {
    const world = new World(setup, clock, directory)
    await world.#start()
    return world
  }

  private constructor(setup: Setup, clock: WallClock, directory: string) {
    this.setup = setup
    this.clock = clock
    this.#directory = directory
  }

  set rates(rates: Partial<FaultRates>) {
    this.#rates = rates
    this.#applyFaults()
  }

  get rates(): Partial<FaultRates> {
    return this.#rates
  }

  set outage(error: Error | null) {
    this.#outage = error
    this.#applyFaults()
  }

  get outage(): Error | null {
    return this.#outage
  }

  damageCache(): void {
    this.#cache.damage()
  }

  async restart(): Promise<void> {
    await this.close()
    await this.#start()
  }

  /** The process ends where it stands: nothing it still does is committed or sent. */
  async crash(): Promise<void> {
    this.#process.isDead = true
    this.clock.forget()
    await this.still()
    this.clock.forget()
    await this.#start()
  }

  /** Resolves when all is done that needs no time. */
  still(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve))
  }

  async close(): Promise<void> {
    // It may still be sweeping a disk, for which no clock waits.
    await this.services.staging.close()
    await this.clock.until(this.store.close())
  }

  async #start(): Promise<void> {
    this.#process = { isDead: false }
    this.#processes++
    const ledger = ledgerOf(this.#ledger, this.#process)
    const options = { ledger, path: this.#directory, limit: STAGING_LIMIT, highWater: HIGH_WATER }
    const staging = await DurableStaging.open(options)
    const index = new BlobIndex(ledger)
    const queue = new JobQueue(ledger)
    const syncer = await SyncD.open({ ledger, index, queue, staging })
    this.services = { index, queue, staging }
    const services = { ledger, ...this.services, syncer, cache: this.#cache, checksums, mimeTypeOf }
    this.store = new StoreD<Name>({ ...services, backends: this.#backends(), whenFull: 'refuse' })
    await this.still()
  }

  #backends(): Record<Name, BackendOptions> {
    const { names, layout, seed } = this.setup
    const { near, ids, far } = this.places
    this.#faulty = new FaultyBackend(new LateBackend({ place: far, latencyMs: 20, plain: layout === 'key' }), {
      seed: seed + this.#processes,
    })
    this.#applyFaults()
    const all: Record<Name, BackendOptions> = {
      near: { backend: new LateBackend({ place: near, latencyMs: 1, local: true, plain: true }) },
      ids: { backend: new LateBackend({ place: ids, latencyMs: 5 }), layout: 'id' },
      far: { backend: this.#faulty, layout },
    }
    return Object.fromEntries(names.map((name) => [name, all[name]])) as Record<Name, BackendOptions>
  }

  #applyFaults(): void {
    this.#faulty.heal()
    this.#faulty.set(this.#rates)
    this.#faulty.fail(this.#outage)
  }
}

function mimeTypeOf(): string {
  return 'application/octet-stream'
}

/** The ledger as one process has it open: it outlives that, and hears nothing of it once it is dead. */
function ledgerOf(ledger: MemoryLedger, process: { readonly isDead: boolean }): TreeLedger {
  const own: Pick<TreeLedger, 'transact' | 'close'> = {
    transact: (write) => (process.isDead ? new Promise(() => {}) : ledger.transact(write)),
    close: async () => {},
  }
  const get = (_: TreeLedger, name: keyof TreeLedger) => {
    if (name === 'transact' || name === 'close') return own[name]
    const value = ledger[name]
    return typeof value === 'function' ? value.bind(ledger) : value
  }
  return new Proxy<TreeLedger>(ledger, { get: get as ProxyHandler<TreeLedger>['get'] & object })
}
