import { type ErrorLocation, StorageError } from '../../backend/error.ts'

/** Wakes whoever waits for the store to change. */
export class Changes {
  #waiting: { promise: Promise<void>; resolve: () => void } | null = null

  /** Resolves with the next change. Ask before reading: a change in between is then not missed. */
  next(): Promise<void> {
    this.#waiting ??= Promise.withResolvers<void>()
    return this.#waiting.promise
  }

  notify(): void {
    this.#waiting?.resolve()
    this.#waiting = null
  }
}

/** The longest that a timer can be set to. */
const LONGEST_MS = 2 ** 31 - 1

/**
 * Waits for a change, or rejects with ABORTED. Meanwhile the process stays alive: nothing that could bring the change need hold
 * it, neither sockets nor timers. Leaves no listener on the caller's signal.
 */
export function waitFor(changed: Promise<void>, signal: AbortSignal, at: ErrorLocation): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const abort = () => reject(new StorageError('ABORTED', at, { cause: signal.reason }))
  if (signal.aborted) abort()
  signal.addEventListener('abort', abort, { once: true })
  const alive = setInterval(() => {}, LONGEST_MS)
  changed.then(resolve)
  return promise.finally(() => {
    clearInterval(alive)
    signal.removeEventListener('abort', abort)
  })
}
