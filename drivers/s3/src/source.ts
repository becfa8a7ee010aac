import { type ErrorLocation, toStorageError } from '@stored/core/backend'

/**
 * The chunks that a put reads: `body` until `signal` aborts, at once even if `body` does not answer. Releases it then,
 * and when the reader leaves.
 *
 * @throws {StorageError} The error of `body`, not mistaken for a failure of the service · the reason of the signal.
 */
export async function* readSource(
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
  at: ErrorLocation,
): AsyncGenerator<Uint8Array, void, void> {
  const chunks = body[Symbol.asyncIterator]()
  let interrupt: (reason: unknown) => void = () => {}
  const onAbort = (): void => interrupt(signal.reason)
  const next = (): Promise<IteratorResult<Uint8Array>> =>
    new Promise((resolve, reject) => {
      interrupt = reject
      if (signal.aborted) return onAbort()
      chunks.next().then(resolve, (error) => {
        settled = true
        reject(toStorageError(error, at))
      })
    })
  let settled = false
  signal.addEventListener('abort', onAbort)
  try {
    for (;;) {
      const { done, value } = await next()
      settled = done === true
      if (settled) return
      yield value
    }
  } finally {
    signal.removeEventListener('abort', onAbort)
    // A source that hangs in next() answers only afterwards, if ever.
    if (!settled) Promise.resolve(chunks.return?.()).catch(() => {})
  }
}
