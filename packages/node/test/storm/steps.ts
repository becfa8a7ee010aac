import { backendOf, keyOf, type LocationRow, type StoreRows } from '@stored/testing/rows/rows'

const OWING: ReadonlySet<string> = new Set(['pending', 'failed', 'conflict'])
const DOUBTFUL: ReadonlySet<string> = new Set(['missing', 'corrupt', 'unknown'])

/** What one commit must not do, whatever call made it. @returns What it did. */
export function checkStep(before: StoreRows, after: StoreRows): string[] {
  return [...takenOver(before, after), ...bared(before, after)]
}

function* takenOver(before: StoreRows, after: StoreRows): Generator<string> {
  for (const [place, was] of before.locations) {
    const now = after.locations.get(place)
    if (was.state === 'deleting' || !now || now.id === was.id || mayLose(before, after, place, was)) continue
    yield `the copy of ${was.id} at ${place} was taken for ${now.id}, and the blob is still there`
  }
}

/** A place goes from one blob to another with the key whose object it is, or when its blob goes. */
function mayLose(before: StoreRows, after: StoreRows, place: string, { id, shared }: LocationRow): boolean {
  if (!after.facts.has(id)) return true
  const key = keyOf(place)
  return !shared && before.bindings.get(key)?.id === id && after.bindings.get(key)?.id !== id
}

/** A key that has bytes which no other key takes along keeps some. That a copy is found damaged is no fault of a commit. */
function* bared(before: StoreRows, after: StoreRows): Generator<string> {
  for (const [key, { id }] of before.bindings) {
    if (after.bindings.get(key)?.id !== id || !copiesOf(before, key, id).some(([, one]) => isBacking(before, one)))
      continue
    const isFound = ([place, { state }]: Copy) => before.locations.get(place)?.state === 'synced' && DOUBTFUL.has(state)
    if (!copiesOf(after, key, id).some((copy) => isBacking(after, copy[1]) || isFound(copy)))
      yield `${key} lost its last copy of ${id}`
  }
}

type Copy = readonly [place: string, LocationRow]

/** Copies that last as long as a key: its own, and those of all keys that it wants. */
function copiesOf({ bindings, locations }: StoreRows, key: string, id: string): Copy[] {
  const isTheirs = ([place, { shared }]: Copy) =>
    shared ? bindings.get(key)?.wanted[backendOf(place)] === 'shared' : keyOf(place) === key
  return [...locations].filter((copy) => copy[1].id === id && copy[1].state !== 'deleting' && isTheirs(copy))
}

function isBacking({ staged }: StoreRows, { id, state }: LocationRow): boolean {
  return state === 'synced' || (OWING.has(state) && staged.has(id))
}
