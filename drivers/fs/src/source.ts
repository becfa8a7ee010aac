import { type ErrorLocation, toStorageError } from '@stored/core/backend'

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
  const iterator = source[Symbol.asyncIterator]()
  let ended = false
  let fail: (reason: unknown) => void = () => {}
  const interrupt = () => fail(signals.find((signal) => signal.aborted)?.reason)
  // A promise for each step: reactions to one for all steps would pile up with the size of the blob.
  const step = () =>
    new Promise<IteratorResult<Uint8Array>>((resolve, reject) => {
      fail = reject
      if (signals.some((signal) => signal.aborted)) return interrupt()
      iterator.next().then(resolve, (error) => {
        // It ends itself when next() throws.
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
    // Not waited for: a generator that hangs in next() answers only after it. What it throws then changes nothing.
    if (!ended) Promise.resolve(iterator.return?.()).catch(() => {})
  }
}
