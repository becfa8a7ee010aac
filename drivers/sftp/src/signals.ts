/** A signal that aborts with the first of `signals`, until it is disposed. */
export class LinkedSignal implements Disposable {
  readonly #controller = new AbortController()
  readonly #signals: readonly AbortSignal[]
  readonly #onAbort = () => this.#controller.abort(this.#signals.find(({ aborted }) => aborted)?.reason)

  constructor(signals: readonly AbortSignal[]) {
    this.#signals = signals
    // Not AbortSignal.any(): a long-lived signal would keep references to each of those.
    for (const signal of signals) signal.addEventListener('abort', this.#onAbort)
    if (signals.some(({ aborted }) => aborted)) this.#onAbort()
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  [Symbol.dispose](): void {
    for (const signal of this.#signals) signal.removeEventListener('abort', this.#onAbort)
  }
}

/** Settles like `promise`, or rejects with the signal's reason when that aborts. */
export function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort)
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
    if (signal.aborted) onAbort()
  })
}

/** Yields the chunks of `source` until the signal aborts, even if `source` never answers, and then releases it. */
export async function* interruptible<T>(
  source: AsyncIterable<T>,
  signal: AbortSignal,
): AsyncGenerator<T, void, undefined> {
  const iterator = source[Symbol.asyncIterator]()
  let ended = false
  // A generator ends itself when next() throws.
  const step = () =>
    Promise.resolve(iterator.next()).catch((error) => {
      ended = true
      throw error
    })
  try {
    for (;;) {
      const { done, value } = await untilAborted(step(), signal)
      ended = done === true
      if (ended) return
      yield value
    }
  } finally {
    // Not awaited: a generator that hangs in next() answers only afterwards, and its error then changes nothing.
    if (!ended) Promise.resolve(iterator.return?.()).catch(() => {})
  }
}
