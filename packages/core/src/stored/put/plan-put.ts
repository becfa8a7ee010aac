import { type ErrorLocation, StorageError } from '../../backend/error.ts'
import type { BlobFacts, BlobId } from '../../model/blob.ts'
import {
  isObjectOf,
  isSettled,
  type Location,
  type LocationFacts,
  leavesTry,
  owed,
  owes,
  sharedByAll,
} from '../../model/copy.ts'
import type { PutEvent } from '../../model/event.ts'
import type { Binding, NewBinding, WantedCopies } from '../../model/key.ts'
import type { Transaction } from '../../ports/ledger.ts'
import type { Staged } from '../../ports/staging.ts'
import type { Configured } from '../backends/backends.ts'
import { leave, leavingWith, retire } from '../delete/give-up.ts'
import { checkMatch, checkOwner } from '../lookup/conditions.ts'
import { idKey, isAmongIds } from '../lookup/names.ts'
import type { Services } from '../services.ts'
import type { PutOptions } from '../types.ts'

/** What a put commits: what its source was read to be, and what its caller asked for. */
export interface PutInput {
  /** The call that is named if it is refused. */
  readonly op: string
  readonly key: string
  /** The package that puts; its keys are its own. @default none: the caller */
  readonly owner?: string
  readonly facts: BlobFacts
  /** Told by the bytes and the name of this key; what the caller said of it is among the options. */
  readonly mimeType: string
  /** A field that is `null` is removed. */
  readonly metadata: Readonly<Record<string, unknown>>
  /** `null`: those that are staged by now. */
  readonly staged: Staged | null
  readonly targets: readonly Configured[]
  readonly options: Pick<PutOptions, 'backends' | 'ifAbsent' | 'ifMatch' | 'mimeType' | 'replaceMetadata'>
}

export interface PutOutcome {
  readonly facts: BlobFacts
  readonly binding: Binding
  /** Whether the store did not know these bytes before. */
  readonly isNew: boolean
  /** The places that were asked for. */
  readonly locations: readonly LocationFacts[]
  /** The former blob of the key, which lost its last one. */
  readonly forgotten: BlobId | null
  readonly event: PutEvent
}

/** Copies would be owed of which no bytes are staged: nothing is committed, and the bytes have to be read first. */
export class BytesWanted extends Error {
  readonly facts: BlobFacts

  constructor(facts: BlobFacts) {
    super(`bytes are wanted of ${facts.id}`)
    this.facts = facts
  }
}

type Rows = Pick<Services, 'backends' | 'index' | 'ledger' | 'prefix' | 'queue' | 'staging'>

/**
 * Binds a key to a blob, and owes its copies.
 *
 * @throws {StorageError} ALREADY_EXISTS, PRECONDITION_FAILED: the caller's condition on the binding does not hold · KEY_CONFLICT: a copy
 *   of another blob lies where one of this blob shall be · INVALID_KEY: the key is for blobs named by their checksum · INVALID_ARGUMENT: a
 *   backend that the caller names is being removed, or was; or there is no other. @throws {BytesWanted}
 */
export function planPut(rows: Rows, tx: Transaction, input: PutInput): PutOutcome {
  const { index, ledger, staging } = rows
  const { key, facts: given, staged } = input
  const { id } = given
  const row = index.binding(tx, key)
  // It went with a deletion that has not come to it: first it is removed, as by that.
  if (row && !row.facts) retire(rows, tx, row)
  const bound = row?.facts ? row : null
  checkOwn(rows, input, bound)
  checkConditions(bound, input)
  const former = bound && bound.id !== id ? bound : null
  const targets = openTargets(rows, tx, input).map((target) => targetAt(rows, tx, target, input))
  checkPlaces(rows, tx, input, former?.id ?? null, targets)
  const known = index.facts(tx, id)
  const facts = { ...given, checksums: { ...known?.checksums, ...given.checksums } }
  index.keep(tx, facts)
  // New bytes have no other key.
  if (known) for (const target of targets) shareOwn(rows, tx, target, id)
  const locations = targets.map((target) => owe(rows, tx, target, facts))
  index.bind(tx, bindingAfter(bound, input, locations, tx.now))
  if (staged === null) {
    if (locations.some(owes) && !staging.has(tx, id)) throw new BytesWanted(facts)
  }
  // Also for a place that owed them before: they may have been released since.
  else if (locations.some(owes) || index.hasPlace(tx, { id, standing: 'owing' })) {
    staging.keep(tx, id, staged)
    if (known && index.hasPlace(tx, { id, standing: 'synced' })) staging.markReleasable(tx, id)
  }
  // Its places that the new blob takes are no longer among its own.
  const leaving = former && leavingWith(rows, tx, former)
  if (leaving) leave(rows, tx, leaving)
  const forgotten = leaving?.isForgotten ? leaving.id : null
  if (forgotten) ledger.record(tx, { type: 'delete', checksum: forgotten, keys: [], time: tx.now })
  const isNew = known === null
  const binding = index.binding(tx, key) as Binding
  const { version } = binding
  const event: PutEvent = { type: 'put', checksum: id, key, version, size: facts.size, isNew, time: tx.now }
  ledger.record(tx, event)
  return { facts, binding, isNew, locations, forgotten, event }
}

/** What is kept of the key from now on. With other bytes than before all of it is new, but for the time since which the key is bound. */
function bindingAfter(
  bound: Binding | null,
  { key, owner, facts: { id, size }, mimeType, metadata, options }: PutInput,
  locations: readonly LocationFacts[],
  now: number,
): NewBinding {
  const before = bound?.id === id ? bound : null
  const fields = { ...(options.replaceMetadata ? {} : before?.custom), ...metadata }
  return {
    key,
    id,
    size,
    mimeType: options.mimeType ?? before?.mimeType ?? mimeType,
    created: bound?.created ?? now,
    modified: now,
    custom: Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null)),
    wanted: wantedAfter(before?.wanted ?? {}, locations),
    ...(owner !== undefined && { owner }),
  }
}

function wantedAfter(before: WantedCopies, locations: readonly LocationFacts[]): WantedCopies {
  const asked = locations.map(({ backend, shared = before[backend] === 'shared' }) => [
    backend,
    shared ? ('shared' as const) : ('own' as const),
  ])
  return { ...before, ...Object.fromEntries(asked) }
}

/** Without those that are being removed, or were by another process: by default what remains is enough. */
function openTargets({ backends }: Rows, tx: Transaction, { op, key, targets, options }: PutInput): Configured[] {
  const open = targets.filter(({ name }) => backends.isReliable(tx, name))
  const closed = targets.find((target) => !open.includes(target))
  if (closed && (options.backends !== undefined || open.length === 0)) {
    const detail = `backend "${closed.name}" ${backends.isCurrent(tx, closed.name) ? 'is being' : 'was'} removed`
    throw new StorageError('INVALID_ARGUMENT', { op, key, backend: closed.name }, { detail })
  }
  return open
}

/** A place where a copy shall be, and what is known of it. */
interface Target {
  readonly place: { readonly backend: string; readonly key: string }
  /** One object for all keys of the blob. */
  readonly shared: boolean
  readonly now: Location | null
}

function targetAt({ backends, index }: Rows, tx: Transaction, target: Configured, { key, facts }: PutInput): Target {
  const place = backends.placeOf(target, key, facts.id)
  return { place, shared: target.layout === 'id', now: index.location(tx, place) }
}

/** Where a key had an object for itself, in a layout that has one for all, whatever became of it: from now on it is theirs, and that key wants it too. */
function shareOwn({ index }: Rows, tx: Transaction, { place, shared, now }: Target, id: BlobId): void {
  if (!shared || now?.shared) return
  const owner = index.binding(tx, place.key)
  if (owner?.facts?.id !== id || owner.wanted[place.backend] !== 'own') return
  index.bind(tx, { ...owner, wanted: { ...owner.wanted, [place.backend]: 'shared' } })
}

/** @returns The copy as it stands from now on. */
function owe({ index, queue }: Rows, tx: Transaction, target: Target, { id, size }: BlobFacts): LocationFacts {
  const { place, shared, now } = target
  if (now && isSettled(now, id)) {
    if (!shared || now.shared) return now
    const location = sharedByAll(now)
    index.locate(tx, location)
    return location
  }
  const begun = leavesTry(now, id) && queue.begun(tx, place)
  const location = owed(now, { place, id, shared, begun })
  index.locate(tx, location)
  queue.enqueue(tx, { op: 'put', ...place, id, size })
  return location
}

/** Keys below `<prefix>/sha256/` are the blobs' own. One that is bound may be put again with the same bytes: it is older than the prefix. */
function checkOwn({ prefix }: Rows, { op, key, facts: { id } }: PutInput, bound: Binding | null): void {
  if (isAmongIds(prefix, key) && key !== idKey(prefix, id) && bound?.id !== id) throw reserved(key, prefix, op)
}

export function reserved(key: string, prefix: string, op: string): StorageError {
  const detail = `keys below ${JSON.stringify(`${prefix}/sha256/`)} are for blobs named by their checksum: each blob may use only its own`
  return new StorageError('INVALID_KEY', { op, key }, { detail })
}

function checkConditions(bound: Binding | null, { op, key, owner, options: { ifAbsent, ifMatch } }: PutInput): void {
  const at: ErrorLocation = { op, key }
  if (bound) checkOwner(bound, owner, at)
  if (ifAbsent && bound) throw new StorageError('ALREADY_EXISTS', at, { detail: `the key is bound to ${bound.id}` })
  checkMatch(bound, ifMatch, at)
}

/**
 * The place of another blob is taken over only with the key whose object it is, or with the last key of that blob. Any other
 * copy stays: after a change of `layout` or `prefix`, a key can name the object that a blob has by its id.
 */
function checkPlaces(
  { index }: Rows,
  tx: Transaction,
  { op, key, facts: { id } }: PutInput,
  former: BlobId | null,
  targets: readonly Target[],
): void {
  for (const { place, now } of targets) {
    if (!now || now.id === id || now.state === 'deleting') continue
    if (now.id === former && (isObjectOf(now, key) || index.keys(tx, former, { limit: 2 }).length === 1)) continue
    const at: ErrorLocation = { op, key, backend: place.backend }
    throw new StorageError('KEY_CONFLICT', at, {
      detail: `the copy of another blob is at ${JSON.stringify(place.key)}: ${now.id}`,
    })
  }
}
