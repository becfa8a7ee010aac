import { type ErrorLocation, toStorageError } from '@stored/core/backend'

/**
 * Yields the chunks of `source` until one of `signals` aborts, even if `source` never answers, and then releases it.
 *
 * @throws {StorageError} The error of `source`, not mistaken for a failure of the medium · the reason of the signal.
 */
export async function* interruptible(
  source: AsyncIterable<Uint8Array>,
  signals: readonly AbortSignal[],
  at: ErrorLocation,
): AsyncGenerator<Uint8Array, void, void> {
  const iterator = source[Symbol.asyncIterator]()
  let ended = false
  let fail: (reason: unknown) => void = () => {}
  const interrupt = () => fail(signals.find((signal) => signal.aborted)?.reason)
  // A new promise for each step: reactions to a shared one would pile up with the size of the blob.
  const step = () =>
    new Promise<IteratorResult<Uint8Array>>((resolve, reject) => {
      fail = reject
      if (signals.some((signal) => signal.aborted)) return interrupt()
      iterator.next().then(resolve, (error) => {
        // A generator ends itself when next() throws.
        ended = true
        reject(toStorageError(error, at))
      })
    })
  for (const signal of signals) signal.addEventListener('abort', interrupt)
  try {
    for (;;) {
      const { done, value } = await step()
      ended = done === true
      if (ended) return
      yield value
    }
  } finally {
    for (const signal of signals) signal.removeEventListener('abort', interrupt)
    // Not awaited: a generator that hangs in next() answers only afterwards, and its error then changes nothing.
    if (!ended) Promise.resolve(iterator.return?.()).catch(() => {})
  }
}
