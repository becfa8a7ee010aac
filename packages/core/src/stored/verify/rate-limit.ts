/** Waits for less are put off: a timer is no finer. */
const LEAST_MS = 10
/** The longest that a timer can be set to. */
const LONGEST_MS = 2 ** 31 - 1

/** Keeps bytes to a rate, by waiting after them. */
export class Pace {
  readonly #bytesPerMs: number
  /** When what went by so far would have, at the rate. */
  #due = 0

  constructor(bytesPerSecond = Number.POSITIVE_INFINITY) {
    this.#bytesPerMs = bytesPerSecond / 1000
  }

  /** @throws The signal's reason. */
  async passed(bytes: number, signal: AbortSignal): Promise<void> {
    const now = performance.now()
    this.#due = Math.max(this.#due, now) + bytes / this.#bytesPerMs
    const ms = this.#due - now
    if (ms >= LEAST_MS) await pause(Math.min(ms, LONGEST_MS), signal)
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const abort = () => reject(signal.reason)
  if (signal.aborted) abort()
  signal.addEventListener('abort', abort, { once: true })
  const timer = setTimeout(resolve, ms)
  return promise.finally(() => {
    clearTimeout(timer)
    signal.removeEventListener('abort', abort)
  })
}
