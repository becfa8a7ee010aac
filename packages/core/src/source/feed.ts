import { setImmediate } from 'node:timers/promises'
import { types } from 'node:util'
import { type ErrorLocation, messageOf, StorageError } from '../backend/error.ts'
import { describeType } from '../backend/options.ts'
import { isDetached } from './memory.ts'
import type { Source } from './source.ts'

/** So many chunks, then everything else has a turn: small ones wait for no disk in between. */
const CHUNKS_A_TURN = 200

/** What a body is read from: an iterator, or something made to look like one. */
export interface Feed {
  next(): IteratorResult<unknown> | PromiseLike<IteratorResult<unknown>>
  /** Called at most once, and only if the feed did not end by itself. */
  stop?(reason: unknown): unknown
}

/** The error for a source that broke off. A StorageError passes as it is: it may be that of another store. */
export function sourceFailed(cause: unknown, at: ErrorLocation): StorageError {
  if (StorageError.is(cause)) return cause
  return new StorageError('SOURCE_FAILED', at, { cause, detail: `the source broke off: ${messageOf(cause)}` })
}

/** A source around `feed`. */
export function fed(
  feed: Feed,
  signal: AbortSignal | undefined,
  at: ErrorLocation,
  known: Pick<Source, 'size' | 'path' | 'keepsStill' | 'owned'> = {},
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
  /** Chunks since the last turn. */
  #chunks = 0

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
    let step: unknown
    try {
      step = await this.#feed.next()
    } catch (error) {
      const failure = this.#signal?.aborted ? this.#signal.reason : sourceFailed(error, this.#at)
      this.#end({ reason: failure })
      throw failure
    }
    const result = this.#resultOf(step)
    if (++this.#chunks >= CHUNKS_A_TURN) {
      this.#chunks = 0
      await setImmediate()
    }
    return result
  }

  #resultOf(step: unknown): IteratorResult<Uint8Array, void> {
    try {
      const { done, value } = stepOf(step, this.#at)
      if (done) {
        this.#end({})
        return { done, value: undefined }
      }
      checkChunk(value, this.#at)
      return { done, value }
    } catch (error) {
      this.stop(error)
      throw error
    }
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

function stepOf(step: unknown, at: ErrorLocation): { readonly done: boolean; readonly value: unknown } {
  if (typeof step !== 'object' || step === null)
    throw new StorageError('INVALID_ARGUMENT', at, {
      detail: `next() of the source gives an object with done and value, not ${describeType(step)}`,
    })
  try {
    const { done, value } = step as IteratorResult<unknown>
    return { done: Boolean(done), value: done ? undefined : value }
  } catch (cause) {
    throw sourceFailed(cause, at)
  }
}

function checkChunk(chunk: unknown, at: ErrorLocation): asserts chunk is Uint8Array {
  // Not by `instanceof`: a Proxy of bytes passes for them until it is read.
  if (!types.isUint8Array(chunk))
    throw new StorageError('INVALID_ARGUMENT', at, {
      detail: `a chunk of the source is bytes, a Uint8Array, not ${describeType(chunk)}`,
    })
  if (isDetached(chunk.buffer))
    throw new StorageError('INVALID_ARGUMENT', at, {
      detail: 'the buffer of a chunk was detached: its bytes are elsewhere',
    })
}
