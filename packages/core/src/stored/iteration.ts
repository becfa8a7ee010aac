import { type ErrorLocation, StorageError, toStorageError } from '../backend/error.ts'

export interface IterationOptions {
  readonly at: ErrorLocation
  /** The caller's. */
  readonly signal: AbortSignal | undefined
  /** The store's. */
  readonly closing: AbortSignal
}

/**
 * Items of a call, begun by the first step. Aborted by its caller it throws ABORTED, by the store's closing CLOSED; leaving it
 * ends a step that is under way, which a generator alone would wait for.
 */
export class Iteration<T> implements AsyncIterableIterator<T, void, void> {
  readonly #options: IterationOptions
  readonly #items: AsyncGenerator<T, void, void>
  readonly #leaving = new AbortController()

  constructor(options: IterationOptions, begin: (signal: AbortSignal) => AsyncGenerator<T, void, void>) {
    const { signal, closing } = options
    this.#options = options
    this.#items = begin(AbortSignal.any([...(signal ? [signal] : []), closing, this.#leaving.signal]))
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<T, void>> {
    const { at, signal, closing } = this.#options
    try {
      if (signal?.aborted) throw new StorageError('ABORTED', at, { cause: signal.reason })
      return await this.#items.next()
    } catch (error) {
      if (this.#leaving.signal.aborted) return { done: true, value: undefined }
      if (closing.aborted && !signal?.aborted) throw new StorageError('CLOSED', at, { cause: error })
      throw toStorageError(error, at, signal)
    }
  }

  async return(): Promise<IteratorResult<T, void>> {
    this.#leaving.abort()
    await this.#items.return()
    return { done: true, value: undefined }
  }
}
