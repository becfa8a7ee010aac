import { type ErrorLocation, StorageError } from '../../backend/error.ts'
import type { BlobFacts, BlobId } from '../../model/blob.ts'
import {
  givenUp,
  isObjectOf,
  isSettled,
  type Location,
  type LocationFacts,
  owed,
  owes,
  type Place,
  sharedByAll,
} from '../../model/copy.ts'
import type { NewJob } from '../../model/job.ts'
import type { Binding } from '../../model/key.ts'
import type { Known } from '../../ports/index.ts'

export interface Target {
  readonly place: Place
  /** One object for all keys of the blob. */
  readonly shared: boolean
  readonly location: Location | null
  /** Whether a try of the job that waits there was begun. */
  readonly begun: boolean
}

/** Whether a try of the job of a place was begun. */
export type Begun = (place: Place) => boolean

export interface Former {
  readonly known: Known
  readonly hasOtherKeys: boolean
  readonly begun: Begun
}

export interface PutPlanInput {
  readonly key: string
  readonly facts: BlobFacts
  /** An explicit MIME type overrides the one that is known. */
  readonly explicitMimeType: boolean
  readonly bound: Binding | null
  readonly known: Known | null
  /** The blob that the key was bound to, when it is another one. */
  readonly former: Former | null
  /** Where the copies shall be, and what is known of these places. */
  readonly targets: readonly Target[]
  readonly ifAbsent: boolean
  readonly ifMatch: BlobId | undefined
}

/** What one put writes. Pure data: made from what was read, applied in one commit. */
export interface PutPlan {
  readonly facts: BlobFacts
  readonly isNew: boolean
  /** Rows to write. */
  readonly locations: readonly LocationFacts[]
  readonly jobs: readonly NewJob[]
  /** Places of the former blob at which nothing can lie: they go, and the jobs that wait there. */
  readonly gone: readonly Place[]
  readonly former: FormerPlan | null
  /** Something owes the bytes: also a place that did before, whose bytes may have been released meanwhile. */
  readonly keeps: boolean
  /** Something owes the bytes although a copy is synced. */
  readonly marks: boolean
  /** All locations of the blob afterwards. */
  readonly result: readonly LocationFacts[]
}

export interface FormerPlan {
  readonly facts: BlobFacts
  /** No key is left, and so no copy. */
  readonly forget: boolean
  /** Nothing owes its bytes any more. */
  readonly release: boolean
}

/**
 * @throws {StorageError} ALREADY_EXISTS or PRECONDITION_FAILED when the caller's condition on the binding does not hold ·
 *   KEY_CONFLICT: a copy of another blob lies where one of this blob shall be.
 */
export function planPut(input: PutPlanInput): PutPlan {
  checkConditions(input)
  checkPlaces(input)
  const { facts: given, known, targets, former } = input
  const owing = targets
    .filter(({ location }) => !isSettled(location, given.id))
    .map(({ location, ...target }) => owed(location, { ...target, id: given.id }))
  const locations = [...owing, ...newlyShared(targets, given.id)]
  const removal = planRemoval(former ? lostPlaces(input, former) : [], (place) => former?.begun(place) ?? false)
  const result = [
    ...(known?.locations ?? []).filter((one) => !locations.some((other) => isSamePlace(one, other))),
    ...locations,
  ]
  const keeps = result.some(owes)
  return {
    facts: known ? merge(known.facts, given, input.explicitMimeType) : given,
    isNew: known === null,
    locations: [...locations, ...removal.locations],
    jobs: [
      ...owing.map(({ backend, key }): NewJob => ({ op: 'put', backend, key, id: given.id, size: given.size })),
      ...removal.jobs,
    ],
    gone: removal.gone,
    former: former && planFormer(input, former),
    keeps,
    marks: keeps && result.some(({ state }) => state === 'synced'),
    result,
  }
}

/** How places are given up. */
export interface Removal {
  /** Places that are to be cleaned. */
  readonly locations: readonly LocationFacts[]
  readonly jobs: readonly NewJob[]
  /** Places that never held anything: there is nothing to clean. */
  readonly gone: readonly Place[]
}

export function planRemoval(dropped: readonly Location[], begun: Begun): Removal {
  const rows = dropped.map((location) => ({ location, row: givenUp(location, begun(location)) }))
  const locations = rows.flatMap(({ row }) => row ?? [])
  const gone = rows.flatMap(({ location: { backend, key }, row }) => (row ? [] : [{ backend, key }]))
  return { locations, jobs: locations.map(deleteJob), gone }
}

function deleteJob({ backend, key, id }: LocationFacts): NewJob {
  return { op: 'delete', backend, key, id, size: 0 }
}

function checkConditions({ key, bound, ifAbsent, ifMatch }: PutPlanInput): void {
  const at: ErrorLocation = { op: 'put', key }
  if (ifAbsent && bound) throw new StorageError('ALREADY_EXISTS', at, { detail: `the key is bound to ${bound.id}` })
  if (ifMatch !== undefined && bound?.id !== ifMatch)
    throw new StorageError('PRECONDITION_FAILED', at, {
      detail: bound ? `the key is bound to ${bound.id}` : 'the key is not bound',
    })
}

/**
 * The place of another blob is taken over only with the key whose object it is, or with the last key of that blob. Any other
 * copy stays: after a change of `layout` or `prefix`, a key can name the object that a blob has by its id.
 */
function checkPlaces({ key, facts, former, targets }: PutPlanInput): void {
  for (const { place, location } of targets) {
    if (!location || location.id === facts.id || location.state === 'deleting') continue
    const goesWithKey = !former?.hasOtherKeys || isObjectOf(location, key)
    if (former && location.id === former.known.facts.id && goesWithKey) continue
    const at: ErrorLocation = { op: 'put', key, backend: place.backend }
    throw new StorageError('KEY_CONFLICT', at, {
      detail: `the copy of another blob is at ${JSON.stringify(place.key)}: ${location.id}`,
    })
  }
}

/** Copies that one key had for itself, in a layout that has one object for all keys of the blob: from now on it is theirs. */
function newlyShared(targets: readonly Target[], id: BlobId): LocationFacts[] {
  return targets.flatMap(({ shared, location }) => {
    if (!shared || !location || location.shared || !isSettled(location, id)) return []
    return [sharedByAll(location)]
  })
}

/** Copies of the former blob that go with the key, apart from those that the new blob overwrites. */
function lostPlaces({ key, targets }: PutPlanInput, former: Former): Location[] {
  return sharesOf(key, former).gone.filter((location) => !targets.some(({ place }) => isSamePlace(place, location)))
}

function planFormer({ key }: PutPlanInput, former: Former): FormerPlan {
  const { kept } = sharesOf(key, former)
  return { facts: former.known.facts, forget: !former.hasOtherKeys, release: !kept.some(owes) }
}

/** The last key of a blob takes all its copies along; any other key only its own objects. */
function sharesOf(key: string, { known, hasOtherKeys }: Former): { gone: Location[]; kept: Location[] } {
  const live = known.locations.filter(({ state }) => state !== 'deleting')
  const goes = (location: Location) => !hasOtherKeys || isObjectOf(location, key)
  return { gone: live.filter(goes), kept: live.filter((location) => !goes(location)) }
}

function merge(known: BlobFacts, given: BlobFacts, explicitMimeType: boolean): BlobFacts {
  return {
    ...known,
    checksums: { ...known.checksums, ...given.checksums },
    mimeType: explicitMimeType ? given.mimeType : known.mimeType,
    modified: given.modified,
    custom: { ...known.custom, ...given.custom },
  }
}

function isSamePlace(a: Place, b: Place): boolean {
  return a.backend === b.backend && a.key === b.key
}
