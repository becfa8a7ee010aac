import { type ErrorLocation, StorageError } from '@stored/core/backend'

/** The longest marker of the next page, in characters: an escaped key in Base64, plus what a service adds. */
const MOST_MARKER_LENGTH = 8_192

/**
 * Follows the markers of a listing's pages, and detects a loop: such a listing never ends. It keeps one of all markers
 * seen, after 1, 2, 4, 8 … pages, which finds a loop of any length.
 *
 * @see Brent, "An improved Monte Carlo factorization algorithm" (1980), section 2
 */
export class Pages {
  readonly #at: ErrorLocation
  #kept: string | undefined
  #page = 0
  #keepAt = 1

  constructor(at: ErrorLocation) {
    this.#at = at
  }

  /**
   * @param marker The start of the next page; `undefined` after the last.
   * @throws {StorageError} UNAVAILABLE: it came before, or is longer than a service makes.
   */
  follow<T extends string | undefined>(marker: T): T {
    if (marker === undefined) return marker
    if (marker === this.#kept) throw this.refusal('a listing that returns to where it was')
    if (marker.length > MOST_MARKER_LENGTH) throw this.refusal(`a marker of ${marker.length} characters`)
    this.#page += 1
    if (this.#page === this.#keepAt) {
      this.#kept = marker
      this.#keepAt *= 2
    }
    return marker
  }

  refusal(what: string): StorageError {
    return new StorageError('UNAVAILABLE', this.#at, { detail: `the service answers with ${what}` })
  }
}
