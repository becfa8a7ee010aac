import { BrokenPromise } from './expect.ts'

/** A body controlled by a case: it waits where it is told to, fails on demand, and counts the calls made to it. */
export class HeldSource implements AsyncIterable<Uint8Array>, AsyncIterator<Uint8Array, undefined> {
  /** Chunks asked for, the end included. */
  pulls = 0
  /** How often the reader abandoned an unfinished body. */
  returns = 0
  /** The size of the whole body, in bytes. */
  readonly size: number
  readonly #chunks: readonly Uint8Array[]
  readonly #holdAt: number
  readonly #gate = Promise.withResolvers<void>()
  readonly #reach = Promise.withResolvers<void>()

  /** @param holdAt The chunk before which it waits for `release`; `chunks.length` is the end. */
  constructor(chunks: readonly Uint8Array[], holdAt: number) {
    this.size = chunks.reduce((total, chunk) => total + chunk.length, 0)
    this.#chunks = chunks
    this.#holdAt = holdAt
  }

  /** Resolves when `put` asks for the held chunk; rejects if the put settles instead. */
  async reachedBy(put: Promise<unknown>): Promise<void> {
    const early = put.then(() => {
      throw new BrokenPromise('put waits for the end of its body, but it resolved before')
    })
    await Promise.race([this.#reach.promise, early])
  }

  release(): void {
    this.#gate.resolve()
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    const index = this.pulls++
    if (index === this.#holdAt) {
      this.#reach.resolve()
      await this.#gate.promise
    }
    const chunk = this.#chunks[index]
    return chunk === undefined ? { done: true, value: undefined } : { done: false, value: chunk }
  }

  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.returns++
    return { done: true, value: undefined }
  }
}

/** `bytes` in pieces of `chunkBytes`. */
export function chunksOf(bytes: Uint8Array, chunkBytes: number): Uint8Array[] {
  const chunks: Uint8Array[] = []
  for (let at = 0; at < bytes.length; at += chunkBytes) chunks.push(bytes.subarray(at, at + chunkBytes))
  return chunks
}

/** `bytes` in two halves, of which the second comes only when released. */
export function halved(bytes: Uint8Array): HeldSource {
  return new HeldSource(chunksOf(bytes, Math.ceil(bytes.length / 2)), 1)
}

export async function* streamOf(chunks: Iterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  yield* chunks
}

/** Yields `chunks`, then throws `error`. */
export async function* failingAfter(
  chunks: Iterable<Uint8Array>,
  error: Error,
): AsyncGenerator<Uint8Array, void, undefined> {
  yield* chunks
  throw error
}

/** Reads a body to its end. */
export async function collect(body: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  return Buffer.concat(chunks)
}
