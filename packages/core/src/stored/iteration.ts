import { type ErrorLocation, StorageError, toStorageError } from '../backend/error.ts'

export interface IterationOptions {
  readonly at: ErrorLocation
  /** The caller's. */
  readonly signal: AbortSignal | undefined
  /** The store's. */
  readonly closing: AbortSignal
}

/**
 * Items of a call that are read in pages, none of them empty, begun by the first step. Aborted by its caller it throws ABORTED, by the
 * store's closing CLOSED; leaving it ends a step that is under way, which a generator alone would wait for.
 */
export class Iteration<T> implements AsyncIterableIterator<T, void, void> {
  readonly #options: IterationOptions
  readonly #pages: AsyncGenerator<readonly T[], void, void>
  readonly #leaving = new AbortController()
  readonly #signal: AbortSignal
  /** Items that were read, and how many of them were asked for. */
  #page: readonly T[] = []
  #taken = 0
  /** Steps that wait for a page. */
  #waiting = 0

  constructor(options: IterationOptions, begin: (signal: AbortSignal) => AsyncGenerator<readonly T[], void, void>) {
    const { signal, closing } = options
    this.#options = options
    this.#signal = AbortSignal.any([...(signal ? [signal] : []), closing, this.#leaving.signal])
    this.#pages = begin(this.#signal)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /** An item at hand costs one promise. It does not overtake a step that waits. */
  next(): Promise<IteratorResult<T, void>> {
    const isAtHand = this.#taken < this.#page.length && this.#waiting === 0 && !this.#signal.aborted
    return isAtHand ? Promise.resolve(this.#take()) : this.#wait()
  }

  async return(): Promise<IteratorResult<T, void>> {
    this.#leaving.abort()
    await this.#pages.return()
    return { done: true, value: undefined }
  }

  async #wait(): Promise<IteratorResult<T, void>> {
    const { at, signal, closing } = this.#options
    this.#waiting++
    try {
      if (signal?.aborted) throw new StorageError('ABORTED', at, { cause: signal.reason })
      this.#signal.throwIfAborted()
      const { done, value } = await this.#pages.next()
      if (!done) {
        this.#page = [...this.#page.slice(this.#taken), ...value]
        this.#taken = 0
      }
      return this.#take()
    } catch (error) {
      if (this.#leaving.signal.aborted) return { done: true, value: undefined }
      if (closing.aborted && !signal?.aborted) throw new StorageError('CLOSED', at, { cause: error })
      throw toStorageError(error, at, signal)
    } finally {
      this.#waiting--
    }
  }

  #take(): IteratorResult<T, void> {
    if (this.#taken === this.#page.length) return { done: true, value: undefined }
    return { done: false, value: this.#page[this.#taken++] as T }
  }
}
