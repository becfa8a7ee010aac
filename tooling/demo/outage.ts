import type { Medium } from './media.ts'

/**
 * A backend that goes away in the middle of the run and comes back later. Progress determines both moments, so that
 * fast and slow machines do the same.
 */
export class Outage {
  readonly #medium: Medium
  readonly #takeAt: number
  readonly #bringAt: number
  #state: 'before' | 'away' | 'over' = 'before'
  #puts = 0
  #copies = 0
  #failures = 0
  #changing: Promise<void> = Promise.resolve()
  readonly #ended = Promise.withResolvers<void>()
  readonly #onChange: (isAway: boolean) => void

  /** @param puts The total number of puts. */
  constructor(medium: Medium, puts: number, onChange: (isAway: boolean) => void) {
    this.#medium = medium
    // Before the last put, so that at least one job meets it.
    this.#takeAt = Math.floor(puts * 0.4)
    this.#bringAt = Math.ceil(puts * 0.7)
    this.#onChange = onChange
    this.#ended.promise.catch(() => {}) // Reported by over().
    this.#next()
  }

  /** Jobs that failed because of it. */
  get failures(): number {
    return this.#failures
  }

  /** One put was acknowledged. */
  countPut(): void {
    this.#puts++
    this.#next()
  }

  /** One copy arrived. */
  countCopy(): void {
    this.#copies++
    this.#next()
  }

  /** One job of the backend failed. */
  countFailure(): void {
    this.#failures++
    this.#next()
  }

  /** Ends it even if it went unnoticed, or before it began. */
  end(): void {
    if (this.#state === 'away') this.#move('over')
    else if (this.#state === 'before') {
      this.#state = 'over'
      this.#ended.resolve()
    }
  }

  /** Resolves when it is back; rejects if it could not be taken away or brought back. */
  over(): Promise<void> {
    return this.#ended.promise
  }

  #next(): void {
    // Not before its first use: a root that was never used is simply created.
    if (this.#state === 'before' && this.#puts >= this.#takeAt && this.#copies > 0) this.#move('away')
    // Not before a job has noticed.
    else if (this.#state === 'away' && this.#puts >= this.#bringAt && this.#failures > 0) this.#move('over')
  }

  #move(to: 'away' | 'over'): void {
    this.#state = to
    this.#changing = this.#changing.then(() => (to === 'away' ? this.#medium.goAway() : this.#medium.comeBack()))
    this.#changing.then(
      () => {
        this.#onChange(to === 'away')
        if (to === 'over') this.#ended.resolve()
      },
      (error) => this.#ended.reject(error),
    )
  }
}
