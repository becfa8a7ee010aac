import type { Operation } from './operation.ts'

/** Runs a step of an iteration: a guard may make it wait for a free slot. */
export type Runner = <T>(step: () => Promise<T>) => Promise<T>

/** What a driver's iterable yields, each step under the watchdog. Leaving early calls the driver's `return`. */
export async function* pull<T>(
  iterable: AsyncIterable<T>,
  operation: Operation,
  run: Runner = (step) => step(),
): AsyncGenerator<T, void, void> {
  const iterator = iterable[Symbol.asyncIterator]()
  let open = true
  const next = async (): Promise<IteratorResult<T>> => {
    open = false // An iterator that failed or did not return has nothing to release.
    const step = await operation.settle(iterator.next())
    open = step.done !== true
    return step
  }
  try {
    while (true) {
      operation.throwIfAborted()
      const step = await run(next)
      operation.throwIfAborted()
      if (step.done) return
      yield step.value
    }
  } finally {
    if (open) await leave(iterator, operation)
  }
}

async function leave(iterator: AsyncIterator<unknown>, operation: Operation): Promise<void> {
  if (iterator.return !== undefined) await operation.settle(Promise.resolve(iterator.return()))
}

/** What a stream reads from, and the operation that ends with it. */
export interface Flow<T> {
  readonly operation: Operation
  readonly items: AsyncIterator<T, void, void>
}

/**
 * The stream of an operation, which its first step begins. Leaving it aborts a step in progress; a plain generator
 * would make the caller wait for the step.
 */
export class Stream<T> implements AsyncIterableIterator<T, void, void> {
  readonly #begin: () => Flow<T>
  readonly #discard: (() => Promise<void>) | undefined
  #flow: Flow<T> | undefined
  #left = false

  /** @param discard Frees what is already held if the stream is left before its first step. */
  constructor(begin: () => Flow<T>, discard?: () => Promise<void>) {
    this.#begin = begin
    this.#discard = discard
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<T, void>> {
    if (this.#left) return { done: true, value: undefined }
    this.#flow ??= this.#begin()
    const { operation, items } = this.#flow
    try {
      const step = await items.next()
      if (step.done) operation.end()
      return step
    } catch (error) {
      operation.end()
      throw operation.failure(error)
    }
  }

  async return(): Promise<IteratorResult<T, void>> {
    if (!this.#left) {
      this.#left = true
      await (this.#flow === undefined ? this.#discard?.() : end(this.#flow))
    }
    return { done: true, value: undefined }
  }
}

async function end({ operation, items }: Flow<unknown>): Promise<void> {
  if (operation.isWaiting) operation.stop('ABORTED', 'the reader has gone away')
  try {
    await items.return?.()
  } finally {
    operation.end()
  }
}

/** Chunks in one piece; a single one is not copied. */
export function bufferOf(chunks: readonly Uint8Array[]): Buffer {
  const [first] = chunks
  if (chunks.length === 1 && first) return Buffer.from(first.buffer, first.byteOffset, first.byteLength)
  return Buffer.concat(chunks)
}

/** Frees a body that nobody reads. */
export async function discardBody(body: AsyncIterable<unknown>): Promise<void> {
  await body[Symbol.asyncIterator]().return?.()
}
