/** What a watchdog looks at. */
export interface Watched {
  /** When it stalls if nothing happens, by `performance.now()`; `Infinity` while nobody waits. */
  readonly stallsAt: number
  stall(): void
}

/** Ends what stalls. One timer for all that is under way: one for each call of a backend would cost more than the call's other waiting. */
export class Watchdog {
  readonly idleTimeoutMs: number
  readonly #watched: Iterable<Watched>
  #timer: NodeJS.Timeout | undefined

  /** @param watched All that is under way, whenever it is looked at. */
  constructor(idleTimeoutMs: number, watched: Iterable<Watched>) {
    this.idleTimeoutMs = idleTimeoutMs
    this.#watched = watched
  }

  /** To be called as something begins to wait: the timer that is set fires before that can stall. */
  watch(): void {
    if (this.#timer === undefined) this.#set(this.idleTimeoutMs)
  }

  #set(ms: number): void {
    this.#timer = setTimeout(() => this.#look(), ms)
    this.#timer.unref()
  }

  #look(): void {
    this.#timer = undefined
    const now = performance.now()
    let next = Number.POSITIVE_INFINITY
    for (const one of [...this.#watched]) {
      const { stallsAt } = one
      if (stallsAt <= now) one.stall()
      else next = Math.min(next, stallsAt)
    }
    if (next < Number.POSITIVE_INFINITY) this.#set(Math.ceil(next - now))
  }
}
