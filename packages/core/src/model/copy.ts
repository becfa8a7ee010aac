import { StorageError } from '../backend/error.ts'
import type { BlobId } from './blob.ts'
import type { Failure } from './failure.ts'
import type { Rev } from './revision.ts'

/** The place of one copy. */
export interface Place {
  readonly backend: string
  readonly key: string
}

/**
 * The state of a copy.
 *
 * - `pending`: owed, or being written
 * - `synced`: the backend confirmed it
 * - `failed`: its job was parked
 * - `conflict`: something that StoreD did not write is in its place
 * - `missing`, `corrupt`, `unknown`: found to be gone, to have wrong bytes, to be changed by someone else
 * - `deleting`: to be removed; readers no longer see it
 */
export type LocationState =
  | 'pending'
  | 'synced'
  | 'failed'
  | 'conflict'
  | 'missing'
  | 'corrupt'
  | 'unknown'
  | 'deleting'

/** A copy in one of these states is not what it should be, and stays so until somebody acts. */
export type BadState = Extract<LocationState, 'failed' | 'conflict' | 'missing' | 'corrupt' | 'unknown'>

/** What a backend last confirmed to hold at a place, written there by StoreD. */
export interface Held {
  readonly id: BlobId
  readonly etag?: string
}

export interface LocationFacts extends Place {
  readonly id: BlobId
  readonly state: LocationState
  /** One object for all keys of the blob (layout `id`): it goes with the last of them. */
  readonly shared?: true
  /** Absent until the first write was confirmed: whatever lies there then is not ours. */
  readonly holds?: Held
  /** Blobs of ours whose write was begun and never confirmed: what lies there may be one of them. */
  readonly tried?: readonly BlobId[]
  /** When the bytes were last confirmed, in milliseconds since the epoch. */
  readonly verified?: number
  /** Why `state` is what it is. */
  readonly error?: Failure
}

/** One row for each place, so that workers that finish together cannot overwrite each other. */
export interface Location extends LocationFacts {
  readonly rev: Rev
}

/**
 * Whether a place still needs the blob's bytes from us, holds them, was found empty or with something else, or is being cleaned. `former`: its
 * copy was confirmed on a backend of this name that was removed since, and is read as `unknown`.
 */
export type Standing = 'owing' | 'synced' | 'former' | 'missing' | 'wrong' | 'deleting'

/** Any place of a blob that stands so, but for a few. */
export interface SomePlace {
  readonly id: BlobId
  readonly standing: Standing
  readonly except?: readonly Place[]
}

/*
 * The life of a copy: one row by its place. What state it has next is decided here and nowhere else.
 *
 *                owed()                  written()
 *   (no row) ─────────────▶ PENDING ─────────────────▶ SYNCED
 *      ▲                    ▲  │  ▲                    │   ▲
 *      │        owedAgain() │  │  │          damaged(), │   │ whole()
 *      │                    │  │  │          doubted()  ▼   │
 *      │                    │  │  └─ repaired() ─ MISSING, CORRUPT, UNKNOWN
 *      │                    │  │ parked()
 *      │                    │  ▼
 *      │            FAILED, CONFLICT
 *      │
 *      │ removed()              givenUp(), from every other state; to (no row) where nothing can lie
 *      └───────── DELETING ◀───────────────
 *
 * (1) owed() leads to PENDING from every state, also for another blob; PENDING and SYNCED of the same blob stay as they are.
 * (2) `holds` is what the backend last confirmed to lie there. written() and whole() set it, removed() ends it, and it outlives all
 *     other changes: the next write has to know what it may overwrite.
 * (3) `tried` lists blobs whose write was begun and never confirmed. Only a confirmed write or removal ends it.
 * (4) A job that ends when its copy is no longer wanted is overtaken: the state stays, and only `holds` and `tried` change.
 * (5) parked() leaves DELETING where it is, with the error; owedAgain() takes the error away.
 * (6) forget() removes the row of any state and leaves what lies there.
 */

const STANDINGS: Readonly<Record<LocationState, Exclude<Standing, 'former'>>> = {
  pending: 'owing',
  failed: 'owing',
  conflict: 'owing',
  synced: 'synced',
  missing: 'missing',
  corrupt: 'wrong',
  unknown: 'wrong',
  deleting: 'deleting',
}

/** How a copy of the present generation stands. */
export function standingOf({ state }: Pick<LocationFacts, 'state'>): Exclude<Standing, 'former'> {
  return STANDINGS[state]
}

/** Whether a place still needs the blob's bytes from us. */
export function owes(copy: Pick<LocationFacts, 'state'>): boolean {
  return standingOf(copy) === 'owing'
}

/** Whether a copy was found damaged, changed or gone. It may be whole again, or have been read wrongly. */
export function isDoubtful({ state }: { readonly state: LocationState | 'detached' }): boolean {
  return state === 'missing' || state === 'corrupt' || state === 'unknown'
}

/** Whether a copy of this blob is there, or on its way. */
export function isSettled(now: LocationFacts | null, id: BlobId): boolean {
  return now?.id === id && (now.state === 'synced' || now.state === 'pending')
}

/** Whether a place holds this key's own object. */
export function isObjectOf({ key, shared, state }: LocationFacts, bound: string): boolean {
  return key === bound && !shared && state !== 'deleting'
}

/** What a job is to do at a place. */
export interface Task {
  readonly op: 'put' | 'delete'
  readonly id: BlobId
}

/** Whether the place still wants what the job brings. */
export function isWanted(now: LocationFacts | null, { op, id }: Task): now is LocationFacts {
  if (now?.id !== id) return false
  return op === 'delete' ? now.state === 'deleting' : now.state !== 'deleting' && now.state !== 'synced'
}

/**
 * Whether it matters if a try of the place's present job was begun, once that job is replaced by the put of `id`: the try may leave
 * another blob there. A waiting try of the same blob leaves what is wanted anyway.
 */
export function leavesTry(now: LocationFacts | null, id: BlobId): boolean {
  return now !== null && (now.id !== id || now.state === 'failed' || now.state === 'conflict')
}

/** A copy that somebody asked for. */
export interface Wanted {
  readonly place: Place
  readonly id: BlobId
  /** One object for all keys of the blob. */
  readonly shared: boolean
  /** Whether a try of the place's present job was begun. @see leavesTry */
  readonly begun: boolean
}

/** The place shall hold this blob, whatever it held before. */
export function owed(now: LocationFacts | null, { place: { backend, key }, id, shared, begun }: Wanted): LocationFacts {
  // An object that other keys count on stays theirs, whatever the layout is by now.
  const isShared = shared || (now?.id === id && now.state !== 'deleting' && now.shared === true)
  const tried = new Set(now?.tried)
  if (now && begun && now.state !== 'deleting') tried.add(now.id)
  if (now?.holds) tried.delete(now.holds.id)
  return {
    backend,
    key,
    id,
    state: 'pending',
    ...(isShared && { shared: true }),
    ...(now?.holds && { holds: now.holds }),
    ...(tried.size > 0 && { tried: [...tried] }),
  }
}

/** The object of one key becomes that of all keys of the blob: the layout is by id from now on. */
export function sharedByAll(now: LocationFacts): LocationFacts {
  return { ...factsOf(now), shared: true }
}

/** The backend confirmed that a put job's blob lies there. */
export function written(
  now: LocationFacts,
  job: Pick<Task, 'id'>,
  { etag, verified }: { readonly etag: string | undefined; readonly verified: number },
): LocationFacts {
  const { tried: _, ...facts } = factsOf(now)
  const holds: Held = { id: job.id, ...(etag !== undefined && { etag }) }
  // Overtaken: what lies there is ours all the same, and the job behind this one has to know.
  if (!isWanted(now, { op: 'put', id: job.id })) return { ...facts, holds }
  const { error: __, ...rest } = facts
  return { ...rest, state: 'synced', holds, verified }
}

/** A delete job found or left nothing there. @returns `null`: the row goes. */
export function removed(now: LocationFacts, job: Pick<Task, 'id'>): LocationFacts | null {
  if (isWanted(now, { op: 'delete', id: job.id })) return null
  const { holds: _, tried: __, ...rest } = factsOf(now)
  return rest
}

/** Its job was parked: it waits for `retry`. */
export function parked(now: LocationFacts, error: Failure): LocationFacts {
  return { ...factsOf(now), state: parkedState(now, error), error: { code: error.code, message: error.message } }
}

function parkedState(now: LocationFacts, { code }: Failure): LocationState {
  if (now.state === 'deleting') return 'deleting'
  if (now.state === 'synced') throw refusal('parked', now)
  // Something that StoreD did not write lies there.
  return code === 'ALREADY_EXISTS' || code === 'PRECONDITION_FAILED' ? 'conflict' : 'failed'
}

/** Its parked job is tried again. */
export function owedAgain(now: LocationFacts): LocationFacts {
  const { error, ...facts } = factsOf(now)
  if (now.state === 'deleting') return facts
  if (!owes(now)) return { ...facts, ...(error && { error }) }
  return { ...facts, state: 'pending' }
}

/**
 * Nobody wants the copy any more.
 *
 * @param begun Whether a write of the blob to this place was begun: then it may lie there, confirmed or not.
 * @returns `null`: nothing can lie there, so there is nothing to clean.
 */
export function givenUp(now: LocationFacts, begun: boolean): LocationFacts | null {
  if (now.state === 'deleting') throw refusal('given up', now)
  const { backend, key, id, shared, holds, tried: before = [] } = now
  const mayLie = begun && holds?.id !== id && !before.includes(id)
  const tried = mayLie ? [...before, id] : before
  if (!holds && tried.length === 0) return null
  return {
    backend,
    key,
    id,
    state: 'deleting',
    ...(shared && { shared }),
    ...(holds && { holds }),
    ...(tried.length > 0 && { tried }),
  }
}

/** A copy that is damaged or gone: two reads, each over a connection of its own, found the same. */
export interface Damage {
  readonly state: 'missing' | 'corrupt' | 'unknown'
  readonly error: Failure
}

/** A copy that was read whole and is what it should be. */
export interface Whole {
  readonly state: 'synced'
  readonly holds: Held
  readonly verified: number
}

/** A read proved something about the copy. */
export function found(now: LocationFacts, what: Damage | Whole): LocationFacts {
  return what.state === 'synced' ? whole(now, what) : damaged(now, what)
}

/** Reads found it damaged, changed or gone. @throws {StorageError} INTERNAL: a copy in this state is not read. */
export function damaged(now: LocationFacts, { state, error }: Damage): LocationFacts {
  if (!isRead(now)) throw refusal('damaged', now)
  return { ...factsOf(now), state, error }
}

/** A read found it whole: whatever was said of it before is settled. @throws {StorageError} INTERNAL: a copy in this state is not read. */
export function whole(now: LocationFacts, { holds, verified }: Omit<Whole, 'state'>): LocationFacts {
  if (!isRead(now)) throw refusal('whole', now)
  const { error: _, ...facts } = factsOf(now)
  return { ...facts, state: 'synced', holds, verified }
}

/** Whether a copy claims to hold the blob, or once did. What is owed, refused or being removed does not. */
export function isRead(copy: Pick<LocationFacts, 'state'>): boolean {
  return copy.state === 'synced' || isDoubtful(copy)
}

/** How a copy is read whose backend was removed since: what is added under that name may be another place. Its row stays as it is. */
export function doubted(now: LocationFacts): LocationFacts {
  if (now.state !== 'synced') throw refusal('doubted', now)
  const message = 'its backend was removed: verify shows what is there'
  return { ...factsOf(now), state: 'unknown', error: { code: 'UNAVAILABLE', message } }
}

/**
 * A bad copy shall be written once more.
 *
 * @param etag Of what lies there and may be overwritten. The write finds that, or stops; without it, the write finds nothing, or stops.
 */
export function repaired(now: LocationFacts, etag: string | undefined): LocationFacts {
  if (!isDoubtful(now)) throw refusal('repaired', now)
  const { backend, key, id, shared } = now
  const holds = etag === undefined ? {} : { holds: { id, etag } }
  return { backend, key, id, state: 'pending', ...(shared && { shared }), ...holds }
}

/** A row may have been read together with its version, which is no part of what is written. */
function factsOf({ backend, key, id, state, shared, holds, tried, verified, error }: LocationFacts): LocationFacts {
  return {
    backend,
    key,
    id,
    state,
    ...(shared && { shared }),
    ...(holds && { holds }),
    ...(tried && { tried }),
    ...(verified !== undefined && { verified }),
    ...(error && { error }),
  }
}

function refusal(transition: string, { backend, key, state }: LocationFacts): StorageError {
  const detail = `a copy that is ${state} cannot become ${transition}`
  return new StorageError('INTERNAL', { op: 'commit', backend, key }, { detail })
}
