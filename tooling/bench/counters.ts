import { createHook } from 'node:async_hooks'
import { EventEmitter } from 'node:events'

/** What one call made, on average. */
export interface Counts {
  readonly promises: number
  readonly timers: number
  readonly gets: number
  readonly ranges: number
  /** Written or removed. */
  readonly rows: number
  /** Requests to other threads: of libuv's pool and of LMDB's writer. */
  readonly trips: number
}

/** What lmdb-js is asked for, by method. */
const CALLS = { getBinaryFast: 'gets', getRange: 'ranges', putSync: 'rows', removeSync: 'rows' } as const
/** Kinds of asynchronous resources that wait for a thread. "write" is a commit of lmdb-js. */
const TRIP = /^(FSREQ.*|FILEHANDLECLOSEREQ|RANDOMBYTESREQUEST|HASHREQUEST|WORKER|write)$/

type Constructor = { init(this: object, options?: unknown): void }

/** Counts what the calls of one process make. It slows them down: what is counted is not to be timed. */
export class Counters {
  readonly #counts = { promises: 0, timers: 0, gets: 0, ranges: 0, rows: 0, trips: 0 }

  /** To be made before the store is opened. */
  constructor() {
    this.#countRows()
    createHook({
      init: (_id, type) => {
        if (type === 'PROMISE') this.#counts.promises++
        else if (type === 'Timeout') this.#counts.timers++
        else if (TRIP.test(type)) this.#counts.trips++
      },
    }).enable()
  }

  /** @param calls How often `run` calls what is counted. */
  async during(calls: number, run: () => Promise<unknown>): Promise<Counts> {
    const before = { ...this.#counts }
    await run()
    const names = Object.keys(before) as (keyof Counts)[]
    const counts = names.map((name) => [name, (this.#counts[name] - before[name]) / calls])
    return Object.fromEntries(counts) as Record<keyof Counts, number>
  }

  /**
   * lmdb-js makes a class for each environment and shows it to nobody. Its objects are EventEmitters, so their class is met here as
   * the first of them is made, whichever package opens it.
   */
  #countRows(): void {
    const emitter = EventEmitter as unknown as Constructor
    const init = emitter.init
    const counts = this.#counts
    const counted = new WeakSet<object>()
    emitter.init = function (this: object, options?: unknown) {
      const prototype = Object.getPrototypeOf(this) as object
      if ('getBinaryFast' in prototype && !counted.has(prototype)) {
        counted.add(prototype)
        countCalls(prototype as Record<string, (...args: unknown[]) => unknown>, (name) => {
          counts[name]++
        })
      }
      return init.call(this, options)
    }
  }
}

function countCalls(
  prototype: Record<string, (...args: unknown[]) => unknown>,
  count: (name: (typeof CALLS)[keyof typeof CALLS]) => void,
): void {
  for (const [method, name] of Object.entries(CALLS)) {
    const call = prototype[method]
    if (!call) throw new Error(`lmdb-js has no ${method}`)
    prototype[method] = function (this: unknown, ...args: unknown[]) {
      count(name)
      return call.apply(this, args)
    }
  }
}
