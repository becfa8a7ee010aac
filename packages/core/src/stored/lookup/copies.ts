import { compareKeys, isId } from '../../backend/keys.ts'
import type { BlobFacts, BlobId } from '../../model/blob.ts'
import { isObjectOf, type Location, type Place, type Standing } from '../../model/copy.ts'
import type { Binding, KeyGroup } from '../../model/key.ts'
import type { View } from '../../ports/ledger.ts'
import type { Services } from '../services.ts'

type Rows = Pick<Services, 'index'>

const STANDINGS: readonly Standing[] = ['owing', 'synced', 'former', 'missing', 'wrong']
/** Places of each backend and standing that a read has to choose from, beside those of its name. */
const SOME = 16

/** The blob behind an id or a key. */
export function factsUnder({ index }: Rows, view: View, idOrKey: string): BlobFacts | null {
  return isId(idOrKey) ? index.facts(view, idOrKey) : (index.binding(view, idOrKey)?.facts ?? null)
}

/** The places of a blob that one key has for itself. */
export function objectsOf({ index }: Rows, view: View, id: BlobId, key: string): Location[] {
  return index.locationsAt(view, key).filter((location) => location.id === id && isObjectOf(location, key))
}

/** Of the shared copies of a blob those that a key wants: another one goes when its own keys do. */
export function sharedFor({ wanted }: Pick<Binding, 'wanted'>, shared: readonly Location[]): Location[] {
  return shared.filter(({ backend }) => wanted[backend] === 'shared')
}

/** Whether each key of a group wants one of these shared copies. */
export function isServed(group: KeyGroup, shared: readonly Location[]): boolean {
  return shared.some(({ backend }) => group.shared.includes(backend))
}

/**
 * The places of a blob that are meant by a key: its own and those that all keys share. The object of another key goes with that key,
 * and so is no copy of this one.
 */
export function placesUnder(rows: Rows, view: View, id: BlobId, key: string): Location[] {
  return [...objectsOf(rows, view, id, key), ...rows.index.shared(view, id)].sort(byPlace)
}

/** Those of the places of a blob that are synced: enough for a read that tries no other. They may be none. */
export function syncedPlaces(rows: Rows, view: View, id: BlobId): Location[] {
  return placesOfEach(rows, view, id, 'synced', SOME)
}

/** The places of a name, and some others of the blob: its bytes are the same everywhere. */
export function placesToRead(rows: Rows, view: View, id: BlobId, idOrKey: string): Location[] {
  const named = isId(idOrKey) ? rows.index.shared(view, id) : placesUnder(rows, view, id, idOrKey)
  const others = STANDINGS.flatMap((standing) => placesOfEach(rows, view, id, standing, SOME))
  return [...new Map([...named, ...others].map((one) => [`${one.backend}\0${one.key}`, one])).values()].sort(byPlace)
}

/** At most `most` places of each backend: they lie by their backends, and the first of one with many would hide all others. */
export function placesOfEach({ index }: Rows, view: View, id: BlobId, standing: Standing, most: number): Location[] {
  const found: Location[] = []
  for (let after: Place | undefined; ; ) {
    const page = index.locations(view, id, standing, { limit: most, ...(after && { after }) })
    found.push(...page)
    const last = page.at(-1)
    if (!last || page.length < most) return found
    // Behind all places of that backend: no name holds a control character.
    after = { backend: `${last.backend}\u0003`, key: '' }
  }
}

export function byPlace(a: Location, b: Location): number {
  if (a.backend === b.backend) return compareKeys(a.key, b.key)
  return a.backend < b.backend ? -1 : 1
}
