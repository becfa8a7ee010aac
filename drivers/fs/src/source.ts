import { type ErrorLocation, toStorageError } from '@stored/core/backend'
import { io } from './io.ts'

/** In bytes: half of it costs a fifth of the speed of a read, measured. */
const CHUNK_BYTES = 1024 * 1024

/**
 * Yields what `source` does until one of `signals` aborts, also when `source` never answers, and releases it then.
 *
 * @throws {StorageError} what `source` throws, not mistaken for a failure of the medium · the reason of the signal.
 */
export async function* interruptible(
  source: AsyncIterable<Uint8Array>,
  signals: readonly AbortSignal[],
  at: ErrorLocation,
): AsyncGenerator<Uint8Array, void, void> {
  const interruption = Promise.withResolvers<never>()
  // Raced below; nobody need be waiting when it comes.
  interruption.promise.catch(() => {})
  const interrupt = () => interruption.reject(signals.find((signal) => signal.aborted)?.reason)
  for (const signal of signals) signal.addEventListener('abort', interrupt)
  if (signals.some((signal) => signal.aborted)) interrupt()
  const iterator = source[Symbol.asyncIterator]()
  let ended = false
  try {
    for (;;) {
      // It ends itself when next() throws.
      const next = iterator.next().catch((error) => {
        ended = true
        throw toStorageError(error, at)
      })
      const { done, value } = await Promise.race([next, interruption.promise])
      ended = done === true
      if (ended) return
      yield value as Uint8Array
    }
  } finally {
    for (const signal of signals) signal.removeEventListener('abort', interrupt)
    // Not waited for: a generator that hangs in next() answers only after it. What it throws then changes nothing.
    if (!ended) iterator.return?.().catch(() => {})
  }
}

/** The bytes of a file that others wrote. */
export async function* readSource(file: string): AsyncGenerator<Uint8Array, void, void> {
  const fd = await io.open(file, 'r')
  try {
    for (let position = 0; ; ) {
      const buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES)
      const count = await io.read(fd, buffer, 0, position)
      if (count === 0) return
      yield buffer.subarray(0, count)
      position += count
    }
  } finally {
    await io.close(fd)
  }
}
