import { type ErrorLocation, StorageError } from '@stored/core/backend'

/** Of what says where the next page begins, in characters: a key, escaped and in Base64, and what a service adds to it. */
const MOST_MARKER_LENGTH = 8_192

/**
 * Follows what says where each page of a listing begins, and tells when it comes round again: such a listing has no end. Of all that
 * were seen it keeps one, after 1, 2, 4, 8 … pages, so that every circle is found, however long.
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
   * @param marker Where the next page begins; `undefined` after the last.
   * @throws {StorageError} UNAVAILABLE: it is one that came before, or longer than a service makes it.
   */
  follow<T extends string | undefined>(marker: T): T {
    if (marker === undefined) return marker
    if (marker === this.#kept) throw this.refusal('a listing that comes round to where it was')
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
