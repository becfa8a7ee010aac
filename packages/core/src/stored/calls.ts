import { type ErrorLocation, StorageError, toStorageError } from '../backend/error.ts'
import { checkOptions } from '../backend/options.ts'
import type { RulesOf } from '../backend/rules.ts'
import { refuseWithin, Thrown } from './also.ts'
import { Iteration } from './iteration.ts'

export interface CallsOptions {
  /** Later reads of a call see everything that any process acknowledged before. */
  refresh(): void
  /** Settles once every backend is known to be current; `null`: at once. */
  known(): Promise<unknown> | null
}

/**
 * The calls of a store that are under way. Every one of them begins here, and every failure becomes a StorageError, but for what an `also`
 * throws.
 */
export class Calls {
  readonly #options: CallsOptions
  readonly #busy = new Set<Promise<unknown>>()
  readonly #closing = new AbortController()
  #isClosed = false

  constructor(options: CallsOptions) {
    this.#options = options
  }

  /** No call begins any more. */
  close(): void {
    this.#isClosed = true
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Ends what is under way. */
  abort(): void {
    this.#closing.abort(new StorageError('CLOSED', { op: 'close' }))
  }

  /** Those that `close` waits for. */
  get busy(): Iterable<Promise<unknown>> {
    return this.#busy
  }

  /** Every call starts here. It sees everything that any process acknowledged before. */
  enter(op: string): void {
    refuseWithin(op)
    if (this.#isClosed) throw new StorageError('CLOSED', { op })
    this.#options.refresh()
  }

  iterate<T>(
    op: string,
    signal: AbortSignal | undefined,
    begin: (signal: AbortSignal) => AsyncGenerator<readonly T[], void, void>,
  ): Iteration<T> {
    return new Iteration({ at: { op }, signal, closing: this.#closing.signal }, begin)
  }

  /** Runs an operation with options. They are checked first, and read once: what is checked is what is used. */
  call<Options extends object, T>(
    at: ErrorLocation,
    options: readonly [Options, RulesOf<Options>],
    operation: (checked: Options, signal: AbortSignal) => Promise<T>,
    closeWaits = true,
  ): Promise<T> {
    refuseWithin(at.op)
    return this.#call(at, options, operation, closeWaits)
  }

  async #call<Options extends object, T>(
    at: ErrorLocation,
    [options, rules]: readonly [Options, RulesOf<Options>],
    operation: (checked: Options, signal: AbortSignal) => Promise<T>,
    closeWaits: boolean,
  ): Promise<T> {
    this.enter(at.op)
    const checked = checkOptions(options, rules, at)
    // A put has its key among its options.
    const { signal, key } = checked as { readonly signal?: AbortSignal; readonly key?: string }
    const place = key === undefined ? at : { ...at, key }
    return this.#supervise(place, signal, (combined) => operation(checked, combined), closeWaits)
  }

  /** Runs an operation without options. */
  run<T>(at: ErrorLocation, operation: (signal: AbortSignal) => Promise<T>): Promise<T> {
    refuseWithin(at.op)
    return this.#run(at, operation)
  }

  async #run<T>(at: ErrorLocation, operation: (signal: AbortSignal) => Promise<T>): Promise<T> {
    this.enter(at.op)
    return this.#supervise(at, undefined, operation, true)
  }

  /** Runs an operation that `close` waits for, and makes every failure a StorageError. */
  async #supervise<T>(
    at: ErrorLocation,
    signal: AbortSignal | undefined,
    operation: (signal: AbortSignal) => Promise<T>,
    closeWaits: boolean,
  ): Promise<T> {
    if (signal?.aborted) throw new StorageError('ABORTED', at, { cause: signal.reason })
    const closing = this.#closing.signal
    const combined = signal ? AbortSignal.any([signal, closing]) : closing
    const unknown = this.#options.known()
    const running = unknown ? unknown.then(() => operation(combined)) : operation(combined)
    if (closeWaits) this.#busy.add(running)
    try {
      return await running
    } catch (error) {
      if (error instanceof Thrown) throw error.error
      if (closing.aborted && !signal?.aborted) throw new StorageError('CLOSED', at, { cause: error })
      throw namingCall(toStorageError(error, at, signal), at)
    } finally {
      this.#busy.delete(running)
    }
  }
}

/** A commit meets the full disk; the error names the call. */
function namingCall(error: StorageError, at: ErrorLocation): StorageError {
  const { code, detail } = error
  if (code !== 'NO_SPACE' || error.at.op !== 'commit') return error
  return new StorageError(code, at, { cause: error, ...(detail !== undefined && { detail }) })
}
