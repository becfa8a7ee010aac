import { StorageError } from './backend/error.ts'

/**
 * A guard that fails so often has another cause than somebody being quicker. What is decided about a whole blob (its deletion, say) is
 * decided anew for each copy of it that settles, and one under thousands of keys settles thousands of times in a row.
 */
const TRIES = 2000

/** Runs `attempt`, which reads and then commits, again for as long as a row changed in between. */
export async function retryOnConflict<T>(attempt: () => Promise<T>): Promise<T> {
  for (let left = TRIES; ; left--) {
    try {
      return await attempt()
    } catch (error) {
      if (left === 1 || !StorageError.is(error) || error.code !== 'CONFLICT' || error.at.op !== 'commit') throw error
    }
  }
}
