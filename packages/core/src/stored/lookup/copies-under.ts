import { isId } from '../../backend/keys.ts'

interface Copy {
  readonly key: string
  readonly shared?: boolean
}

/** Whether a copy lasts as long as a key: it is the key's own object, or the one that all keys of the blob share. */
function isCopyOf({ key, shared }: Copy, bound: string): boolean {
  return shared === true || key === bound
}

/**
 * Which copies of a blob are meant by a name: by a key its own and those that all keys share, by the id all of them. The object
 * of another key goes with that key, and so is no copy of this one.
 */
export function copiesUnder<T extends Copy>(idOrKey: string, locations: readonly T[]): T[] {
  return locations.filter((location) => isId(idOrKey) || isCopyOf(location, idOrKey))
}
