import { type ErrorLocation, StorageError } from './backend/error.ts'
import type { Source } from './source.ts'

/** What a body is read from: an iterator, or something made to look like one. */
export interface Feed {
  next(): IteratorResult<unknown> | PromiseLike<IteratorResult<unknown>>
  /** Called at most once, and only if the feed did not end by itself. */
  stop?(reason: unknown): unknown
}

/** A source around `feed`. */
export function fed(
  feed: Feed,
  signal: AbortSignal | undefined,
  at: ErrorLocation,
  known: Pick<Source, 'size' | 'path'> = {},
): Source {
  const body = new FedBody(feed, signal, at)
  signal?.throwIfAborted() // The body has released the feed.
  return {
    ...known,
    body,
    release: () => body.release(),
  }
}

/** The chunks of a feed, until it ends, fails, or is stopped from outside, which takes effect at once. */
class FedBody implements AsyncIterableIterator<Uint8Array, void, void> {
  readonly #feed: Feed
  readonly #signal: AbortSignal | undefined
  readonly #at: ErrorLocation
  readonly #onAbort = (): void => this.stop(this.#signal?.reason)
  /** Set once nothing more is read; `reason` is for who goes on asking. */
  #ended: { readonly reason?: unknown } | undefined
  #reject: ((reason: unknown) => void) | undefined

  constructor(feed: Feed, signal: AbortSignal | undefined, at: ErrorLocation) {
    this.#feed = feed
    this.#signal = signal
    this.#at = at
    if (signal?.aborted) this.#onAbort()
    else signal?.addEventListener('abort', this.#onAbort)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<Uint8Array, void>> {
    if (this.#ended !== undefined) return this.#afterEnd(this.#ended)
    return new Promise((resolve, reject) => {
      this.#reject = reject
      this.#pull().then(resolve, reject)
    })
  }

  return(): Promise<IteratorResult<Uint8Array, void>> {
    this.stop(undefined)
    return Promise.resolve({ done: true, value: undefined })
  }

  /** An error is made only for who may meet it: of a body that was read to its end nobody asks for more. */
  release(): void {
    if (this.#ended === undefined) this.stop(this.#released())
  }

  /** Rejects a read that is under way and releases the feed, unless it has ended. */
  stop(reason: unknown): void {
    if (this.#ended !== undefined) return
    this.#end(reason === undefined ? {} : { reason })
    this.#reject?.(reason ?? this.#released())
    // Whoever stops a source has a reason of their own to report; that the source minds being stopped adds nothing to it.
    new Promise((resolve) => resolve(this.#feed.stop?.(reason))).catch(() => {})
  }

  async #pull(): Promise<IteratorResult<Uint8Array, void>> {
    try {
      const { done, value } = await this.#feed.next()
      if (done) {
        this.#end({})
        return { done, value: undefined }
      }
      if (value instanceof Uint8Array) return { done: false, value }
    } catch (error) {
      this.#end({ reason: error })
      throw error
    }
    const error = new StorageError('INVALID_ARGUMENT', this.#at, { detail: 'a chunk of the source is not bytes' })
    this.stop(error)
    throw error
  }

  #released(): StorageError {
    return new StorageError('CLOSED', this.#at, { detail: 'the source was released' })
  }

  #end(ended: { readonly reason?: unknown }): void {
    this.#ended ??= ended
    this.#signal?.removeEventListener('abort', this.#onAbort)
  }

  async #afterEnd(ended: { readonly reason?: unknown }): Promise<IteratorResult<Uint8Array, void>> {
    if ('reason' in ended) throw ended.reason
    return { done: true, value: undefined }
  }
}
