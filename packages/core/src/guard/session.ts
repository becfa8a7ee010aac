import type { LogEvent, StorageBackend } from '../backend/contract.ts'
import { type ErrorLocation, StorageError } from '../backend/error.ts'
import { Limiter } from './limiter.ts'
import { Log } from './log.ts'
import { Operation, type Supervision } from './operation.ts'
import { Watchdog } from './watchdog.ts'

/** How long a driver may take to close. */
const CLOSE_MS = 5000

/** Remembers the medium of a backend from earlier openings: an unmounted disk must not be taken for an empty one. */
export interface MediumMemory {
  /** @returns `null` if it was never opened. */
  known(): Promise<string | null>
  /**
   * @throws {StorageError} MISCONFIGURED: another backend has this medium, so it is the same one under another name.
   */
  remember(medium: string): Promise<void>
  /** Called before the known medium is used again. @throws {StorageError} MISCONFIGURED, like `remember`. */
  check?(medium: string): Promise<void>
}

export interface SessionOptions {
  /** The backend's configured name. */
  readonly name: string
  readonly idleTimeoutMs: number
  readonly log: (event: LogEvent) => void
  readonly medium: MediumMemory | undefined
}

/** The life of one backend: opened by the first operation, its operations in progress, closed permanently. */
export class Session {
  readonly #driver: StorageBackend
  readonly #name: string
  readonly #log: Log
  readonly #medium: MediumMemory | undefined
  readonly #supervision: Supervision
  readonly #operations = new Set<Operation>()
  #limiter: Limiter | undefined
  #opening: Promise<void> | undefined
  #opened = false
  #closing: Promise<void> | undefined

  constructor(driver: StorageBackend, { name, idleTimeoutMs, log, medium }: SessionOptions) {
    this.#driver = driver
    this.#name = name
    this.#log = new Log(log)
    this.#medium = medium
    this.#supervision = {
      watchdog: new Watchdog(idleTimeoutMs, this.#operations),
      onEnd: (operation) => this.#operations.delete(operation),
      onDetach: ({ op, key }) => this.warn(`${op} did not return after it was aborted, and was abandoned`, key),
    }
  }

  at(op: string, key?: string): ErrorLocation {
    return key === undefined ? { backend: this.#name, op } : { backend: this.#name, op, key }
  }

  /**
   * Begins an operation. Its caller must end it.
   *
   * @param idle Whether a long time without activity is not a stall.
   * @throws {StorageError} CLOSED.
   */
  begin(at: ErrorLocation, signal: AbortSignal | undefined, { idle = false } = {}): Operation {
    if (this.#closing !== undefined) throw new StorageError('CLOSED', at)
    const supervision = idle ? { ...this.#supervision, watchdog: undefined } : this.#supervision
    const operation = new Operation(at, supervision, signal)
    this.#operations.add(operation)
    return operation
  }

  /** Runs an operation that ends with `work`, on an open backend. */
  async run<T>(operation: Operation, work: () => Promise<T>): Promise<T> {
    try {
      await this.ready(operation)
      return await work()
    } catch (error) {
      throw operation.failure(error)
    } finally {
      operation.end()
    }
  }

  /**
   * Waits until the backend is open; `undefined` if it is. A failed opening is not remembered: the next call tries
   * again.
   */
  ready(operation: Operation): Promise<void> | undefined {
    operation.throwIfAborted()
    if (this.#opened) return undefined
    this.#opening ??= this.#open()
    return operation.until(this.#opening)
  }

  /**
   * Runs a call once the driver has a free slot. The body of an opened `get` needs none: it may be the source of a
   * `put` that waits for a slot.
   */
  async inPlace<T>(operation: Operation, call: () => Promise<T>): Promise<T> {
    const limiter = this.#limiter
    if (limiter === undefined) return call()
    const place = limiter.enter()
    if (place !== undefined) await this.#await(place, operation, limiter)
    try {
      return await call()
    } finally {
      limiter.leave()
    }
  }

  /** Aborts what is in progress, waits for it to settle, then closes the driver. Safe to repeat. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  warn(message: string, key: string | undefined): void {
    this.say('warn', message, key)
  }

  say(level: LogEvent['level'], message: string, key: string | undefined): void {
    this.#log.write(key === undefined ? { level, message } : { level, message, key })
  }

  async #open(): Promise<void> {
    const operation = this.begin(this.at('open'), undefined)
    try {
      const known = (await this.#medium?.known()) ?? undefined
      const context = { signal: operation.signal, log: this.#log.write, ...(known !== undefined && { medium: known }) }
      await operation.settle(Promise.resolve(this.#driver.open?.(context)))
      // Through `settle`, so that a close waits for it: nothing is remembered for a closed backend.
      await operation.settle(this.#recognize(known, operation))
      const places = this.#driver.capabilities.limits?.maxConcurrent
      if (places !== undefined) this.#limiter = new Limiter(places)
      this.#opened = true
    } catch (error) {
      this.#opening = undefined
      throw operation.failure(error)
    } finally {
      operation.end()
    }
  }

  async #recognize(known: string | undefined, { at }: Operation): Promise<void> {
    const { medium } = this.#driver
    if (medium === undefined) return
    if (medium === known) return this.#medium?.check?.(medium)
    if (known === undefined) return this.#medium?.remember(medium)
    throw new StorageError('MISCONFIGURED', at, {
      detail: 'the medium differs from the one remembered; remove the backend with force to forget that one',
    })
  }

  async #close(): Promise<void> {
    const operations = [...this.#operations]
    for (const operation of operations) operation.stop('CLOSED', 'the backend was closed')
    await Promise.all(operations.map((operation) => operation.settled()))
    const closing = new Set<Operation>()
    const watchdog = new Watchdog(CLOSE_MS, closing)
    const operation = new Operation(this.at('close'), { ...this.#supervision, watchdog }, undefined)
    closing.add(operation)
    try {
      await operation.settle(Promise.resolve(this.#driver.close?.()))
    } finally {
      operation.end()
    }
  }

  async #await(place: Promise<void>, operation: Operation, limiter: Limiter): Promise<void> {
    try {
      await operation.until(place)
    } catch (error) {
      void place.then(() => limiter.leave()) // The slot still arrives, and nobody needs it.
      throw error
    }
  }
}
