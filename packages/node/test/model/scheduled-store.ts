import { checksums } from '@stored/checksumd'
import { StoreD, type StoreDOptions } from '@stored/core'
import { MemoryBackend, MemoryPlace } from '@stored/core/backend'
import { BlobIndex } from '@stored/index'
import { MemoryLedger } from '@stored/ledger'
import { DurableStaging } from '@stored/staging'
import { JobQueue, SyncD } from '@stored/syncd'
import type fc from 'fast-check'
import { vi } from 'vitest'
import type { Name } from './actions.ts'
import { scheduledBackend, scheduledLedger, scheduledQueue, scheduledStaging, type Tick } from './scheduled.ts'

type Ports = Pick<StoreDOptions<Name>, 'ledger' | 'index' | 'queue' | 'staging' | 'syncer'>

export interface Options {
  readonly scheduler: fc.Scheduler
  /** Of the second backend; that of the first is `key`. */
  readonly layout: 'key' | 'id'
  /** Stays empty. */
  readonly directory: string
}

/** A store of which every step that others could come before waits for its turn. */
export class ScheduledStore {
  readonly store: StoreD<Name>
  readonly queue: JobQueue
  readonly staging: DurableStaging
  readonly #places: Readonly<Record<Name, MemoryPlace>> = { first: new MemoryPlace(), second: new MemoryPlace() }
  readonly #scheduler: fc.Scheduler

  static async open(options: Options): Promise<ScheduledStore> {
    const { scheduler, directory: path } = options
    const tick: Tick = (what) => scheduler.schedule(Promise.resolve(), what)
    const ledger = scheduledLedger(new MemoryLedger(), tick)
    // Whatever has a synced copy may leave at once.
    const staging = await DurableStaging.open({ ledger, path, limit: 1000, highWater: 0 })
    const queue = new JobQueue(ledger)
    const services = {
      ledger,
      index: new BlobIndex(ledger),
      queue: scheduledQueue(queue, tick),
      staging: scheduledStaging(staging, tick),
    }
    const syncer = await inTurn(scheduler, SyncD.open(services))
    return new ScheduledStore({ ...services, syncer }, { queue, staging }, options, tick)
  }

  private constructor(
    ports: Ports,
    { queue, staging }: Pick<ScheduledStore, 'queue' | 'staging'>,
    { scheduler, layout }: Options,
    tick: Tick,
  ) {
    this.queue = queue
    this.staging = staging
    this.#scheduler = scheduler
    const backend = (name: Name) => scheduledBackend(new MemoryBackend({ place: this.#places[name] }), tick)
    const backends = { first: { backend: backend('first') }, second: { backend: backend('second'), layout } }
    this.store = new StoreD<Name>({ ...ports, checksums, mimeTypeOf: () => 'text/plain', backends })
  }

  /** Does whatever is to be done, in the order the scheduler chooses, until `work` is settled. */
  run<T>(work: Promise<T>): Promise<T> {
    return inTurn(this.#scheduler, work)
  }

  /** The texts on each backend, by key. */
  objects(): Record<Name, Record<string, string>> {
    const textsOf = ({ blobs }: MemoryPlace) =>
      Object.fromEntries([...blobs].map(([key, { bytes }]) => [key, Buffer.from(bytes).toString()]))
    return { first: textsOf(this.#places.first), second: textsOf(this.#places.second) }
  }

  async close(): Promise<void> {
    let isClosed = false
    const closed = this.staging.close().finally(() => {
      isClosed = true
    })
    // Its sweep reads the disk, for as long as that takes, before its commit waits for its turn.
    for (; !isClosed; await still()) if (this.#scheduler.count() > 0) await this.#scheduler.waitOne()
    await closed
    await this.run(this.store.close())
  }
}

async function inTurn<T>(scheduler: fc.Scheduler, work: Promise<T>): Promise<T> {
  let isSettled = false
  const settle = () => {
    isSettled = true
  }
  work.then(settle, settle)
  for (await still(); !isSettled; await still()) {
    if (scheduler.count() > 0) await scheduler.waitOne()
    else if (vi.getTimerCount() > 0) vi.advanceTimersToNextTimer()
    else throw new Error('nothing is left that could happen')
  }
  return work
}

/** All microtasks are done after it. */
function still(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
