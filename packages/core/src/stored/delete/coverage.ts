import type { LocationFacts } from '../../model/copy.ts'

/**
 * Whether each place that owes bytes which are not staged can be sure of a copy to read them from: whichever key is deleted or
 * bound anew, one copy at least outlives the place.
 *
 * An object of all keys goes with the last of them, that of one key with it.
 */
export function areCovered(owing: readonly LocationFacts[], copies: readonly LocationFacts[]): boolean {
  return owing.every((place) => copies.some((copy) => copy.shared || (!place.shared && copy.key === place.key)))
}
