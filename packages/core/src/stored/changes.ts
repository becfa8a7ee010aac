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
