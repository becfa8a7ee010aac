import type { Readable } from 'node:stream'
import { type ErrorLocation, toStorageError } from '@stored/core/backend'
import { toS3Error } from './errors.ts'

/**
 * The bytes of a response. Its connection is freed at the end, on a failure, when the iteration is left, and when a
 * signal aborts, even if nothing is reading.
 */
export class ObjectBody implements AsyncIterableIterator<Uint8Array, void> {
  readonly #stream: Readable
  readonly #chunks: AsyncIterator<Uint8Array, void>
  /** The signals of the caller and of the backend. */
  readonly #signals: readonly AbortSignal[]
  readonly #at: ErrorLocation

  constructor(stream: Readable, signals: readonly AbortSignal[], at: ErrorLocation) {
    this.#stream = stream
    this.#signals = signals
    this.#at = at
    // A body that fails before it is read would end the process. A later reader gets the error.
    stream.on('error', () => {})
    const onAbort = (): void => void stream.destroy()
    for (const signal of signals) signal.addEventListener('abort', onAbort)
    stream.once('close', () => {
      for (const signal of signals) signal.removeEventListener('abort', onAbort)
    })
    if (signals.some((signal) => signal.aborted)) onAbort()
    this.#chunks = stream[Symbol.asyncIterator]()
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<Uint8Array, void>> {
    try {
      return await this.#chunks.next()
    } catch (error) {
      const aborted = this.#signals.find((signal) => signal.aborted)
      throw aborted ? toStorageError(aborted.reason, this.#at, this.#signals[0]) : toS3Error(error, this.#at)
    }
  }

  async return(): Promise<IteratorResult<Uint8Array, void>> {
    this.#stream.destroy()
    return { done: true, value: undefined }
  }
}
