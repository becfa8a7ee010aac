import { compareKeys, isId } from '../../backend/keys.ts'
import type { BlobFacts, BlobId } from '../../model/blob.ts'
import { isObjectOf, type Location, type Place, type Standing } from '../../model/copy.ts'
import type { View } from '../../ports/ledger.ts'
import type { Services } from '../services.ts'
import { idKey } from './names.ts'

type Rows = Pick<Services, 'index' | 'prefix'>

const STANDINGS: readonly Standing[] = ['owing', 'neither', 'former', 'synced']
/** Rows that are read at once. */
const PAGE = 500
/** Up to so many places are looked through by their names for objects that lie below a former prefix. */
const FEW = 32
/** Places of each backend and standing that a read has to choose from, beside those of its name. */
const SOME = 16

/** The blob behind an id or a key. */
export function factsUnder({ index }: Pick<Rows, 'index'>, view: View, idOrKey: string): BlobFacts | null {
  const id = isId(idOrKey) ? idOrKey : index.binding(view, idOrKey)?.id
  return id === undefined ? null : index.facts(view, id)
}

/** Places of a blob, those being cleaned too. Reads as far as it is asked, a page at a time. */
export function* eachPlace(
  { index }: Pick<Rows, 'index'>,
  view: View,
  id: BlobId,
  standings = STANDINGS,
): Generator<Location, void, void> {
  for (const standing of standings)
    yield* paged<Location>((after) => index.locations(view, id, standing, { limit: PAGE, ...(after && { after }) }))
}

/** Places of a blob where a copy is, or shall be. */
export function livePlaces(rows: Pick<Rows, 'index'>, view: View, id: BlobId): Location[] {
  // Of most blobs one range has them all.
  const places = rows.index.places(view, id, { limit: PAGE })
  const all =
    places.length < PAGE
      ? places.flatMap((place) => rows.index.location(view, place) ?? [])
      : [...eachPlace(rows, view, id)]
  return all.filter(({ state }) => state !== 'deleting')
}

/** The keys of a blob. Reads as far as it is asked, a page at a time. */
export function* eachKey({ index }: Pick<Rows, 'index'>, view: View, id: BlobId): Generator<string, void, void> {
  yield* paged<string>((after) => index.keys(view, id, { limit: PAGE, ...(after !== undefined && { after }) }))
}

/** One page after the other; what does not fill a page is the last. */
function* paged<T>(read: (after: T | undefined) => T[]): Generator<T, void, void> {
  for (let after: T | undefined; ; ) {
    const page = read(after)
    yield* page
    after = page.at(-1)
    if (page.length < PAGE) return
  }
}

/** The places of a blob that one key has for itself. */
export function objectsOf({ index }: Pick<Rows, 'index'>, view: View, id: BlobId, key: string): Location[] {
  return index.locationsAt(view, key).filter((location) => location.id === id && isObjectOf(location, key))
}

/** The places of a blob that all its keys share. As cheap for a blob with thousands of places as for one with two. */
export function sharedPlaces({ index, prefix }: Rows, view: View, id: BlobId): Location[] {
  const shared = index.locationsAt(view, idKey(prefix, id)).filter((one) => one.id === id && one.shared)
  // Where the prefix was another one, objects have another key, of the same end.
  const end = idKey('', id)
  for (const place of index.places(view, id, { limit: FEW })) {
    if (!place.key.endsWith(end) || place.key === idKey(prefix, id)) continue
    const location = index.location(view, place)
    if (location?.shared) shared.push(location)
  }
  return shared.filter(({ state }) => state !== 'deleting')
}

/**
 * The places of a blob that are meant by a name: by a key its own and those that all keys share, by the id all of them. The object of
 * another key goes with that key, and so is no copy of this one.
 */
export function placesUnder(rows: Rows, view: View, id: BlobId, idOrKey: string): Location[] {
  if (isId(idOrKey)) return livePlaces(rows, view, id).sort(byPlace)
  return [...objectsOf(rows, view, id, idOrKey), ...sharedPlaces(rows, view, id)].sort(byPlace)
}

/** The places of a name, and some others of the blob: its bytes are the same everywhere. */
export function placesToRead(rows: Rows, view: View, id: BlobId, idOrKey: string): Location[] {
  const own = isId(idOrKey) ? [] : objectsOf(rows, view, id, idOrKey)
  const all = new Map<string, Location>()
  const others = STANDINGS.flatMap((standing) => placesOfEach(rows, view, id, standing, SOME))
  for (const one of [...own, ...sharedPlaces(rows, view, id), ...others]) all.set(`${one.backend}\0${one.key}`, one)
  return [...all.values()].sort(byPlace)
}

/** At most `most` places of each backend: they lie by their backends, and the first of one with many would hide all others. */
export function placesOfEach(
  { index }: Pick<Rows, 'index'>,
  view: View,
  id: BlobId,
  standing: Standing,
  most: number,
): Location[] {
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

function byPlace(a: Location, b: Location): number {
  if (a.backend === b.backend) return compareKeys(a.key, b.key)
  return a.backend < b.backend ? -1 : 1
}
