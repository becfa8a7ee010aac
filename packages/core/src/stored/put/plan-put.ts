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
import type { Binding } from '../../model/key.ts'
import type { Transaction } from '../../ports/ledger.ts'
import type { Staged } from '../../ports/staging.ts'
import type { Configured } from '../backends/backends.ts'
import { leave, leavingWith, retire } from '../delete/give-up.ts'
import { idKey, isAmongIds } from '../lookup/names.ts'
import type { Services } from '../services.ts'
import type { PutOptions } from '../types.ts'

/** What a put commits: what its source was read to be, and what its caller asked for. */
export interface PutInput {
  readonly key: string
  readonly facts: BlobFacts
  /** `null`: those that are staged by now. */
  readonly staged: Staged | null
  readonly targets: readonly Configured[]
  readonly options: Pick<PutOptions, 'backends' | 'ifAbsent' | 'ifMatch' | 'mimeType'>
}

export interface PutOutcome {
  readonly facts: BlobFacts
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
  const { key, facts: given, staged, options } = input
  const { id } = given
  const row = index.binding(tx, key)
  // It went with a deletion that has not come to it: first it is removed, as by that.
  if (row && !row.facts) retire(rows, tx, row)
  const bound = row?.facts ? row : null
  checkOwn(rows, key, id, bound)
  checkConditions(key, bound, options)
  const former = bound && bound.id !== id ? bound.id : null
  const targets = openTargets(rows, tx, input).map((target) => targetAt(rows, tx, target, input))
  checkPlaces(rows, tx, key, id, former, targets)
  const known = index.facts(tx, id)
  const facts = known ? merge(known, given, options.mimeType !== undefined) : given
  index.keep(tx, facts)
  index.bind(tx, key, id)
  const locations = targets.map((target) => owe(rows, tx, target, facts))
  if (staged === null) {
    if (locations.some(owes) && !staging.has(tx, id)) throw new BytesWanted(facts)
  }
  // Also for a place that owed them before: they may have been released since.
  else if (locations.some(owes) || index.hasPlace(tx, { id, standing: 'owing' })) {
    staging.keep(tx, id, staged)
    if (known && index.hasPlace(tx, { id, standing: 'synced' })) staging.markReleasable(tx, id)
  }
  // Its places that the new blob takes are no longer among its own.
  const leaving = former && leavingWith(rows, tx, former, key)
  if (leaving) leave(rows, tx, leaving)
  const forgotten = leaving?.isForgotten ? leaving.id : null
  if (forgotten) ledger.record(tx, { type: 'delete', checksum: forgotten, keys: [], time: tx.now })
  const isNew = known === null
  const event: PutEvent = { type: 'put', checksum: id, key, size: facts.size, isNew, time: tx.now }
  ledger.record(tx, event)
  return { facts, isNew, locations, forgotten, event }
}

/** Without those that are being removed, or were by another process: by default what remains is enough. */
function openTargets({ backends }: Rows, tx: Transaction, { key, targets, options }: PutInput): Configured[] {
  const open = targets.filter(({ name }) => backends.isReliable(tx, name))
  const closed = targets.find((target) => !open.includes(target))
  if (closed && (options.backends !== undefined || open.length === 0)) {
    const detail = `backend "${closed.name}" ${backends.isCurrent(tx, closed.name) ? 'is being' : 'was'} removed`
    throw new StorageError('INVALID_ARGUMENT', { op: 'put', key, backend: closed.name }, { detail })
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

/** @returns The copy as it stands from now on. */
function owe({ index, queue }: Rows, tx: Transaction, target: Target, { id, size }: BlobFacts): LocationFacts {
  const { place, shared, now } = target
  if (now && isSettled(now, id)) {
    // A copy that one key had for itself, in a layout that has one object for all: from now on it is theirs.
    const location = shared && !now.shared ? sharedByAll(now) : now
    if (location !== now) index.locate(tx, location)
    return location
  }
  const begun = leavesTry(now, id) && queue.begun(tx, place)
  const location = owed(now, { place, id, shared, begun })
  index.locate(tx, location)
  queue.enqueue(tx, { op: 'put', ...place, id, size })
  return location
}

/** Keys below `<prefix>/sha256/` are the blobs' own. One that is bound may be put again with the same bytes: it is older than the prefix. */
function checkOwn({ prefix }: Rows, key: string, id: BlobId, bound: Binding | null): void {
  if (isAmongIds(prefix, key) && key !== idKey(prefix, id) && bound?.id !== id) throw reserved(key, prefix)
}

export function reserved(key: string, prefix: string, op = 'put'): StorageError {
  const detail = `keys below ${JSON.stringify(`${prefix}/sha256/`)} are for blobs named by their checksum: each blob may use only its own`
  return new StorageError('INVALID_KEY', { op, key }, { detail })
}

function checkConditions(key: string, bound: Binding | null, { ifAbsent, ifMatch }: PutInput['options']): void {
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
function checkPlaces(
  { index }: Rows,
  tx: Transaction,
  key: string,
  id: BlobId,
  former: BlobId | null,
  targets: readonly Target[],
): void {
  for (const { place, now } of targets) {
    if (!now || now.id === id || now.state === 'deleting') continue
    if (now.id === former && (isObjectOf(now, key) || index.keys(tx, former, { limit: 2 }).length === 1)) continue
    const at: ErrorLocation = { op: 'put', key, backend: place.backend }
    throw new StorageError('KEY_CONFLICT', at, {
      detail: `the copy of another blob is at ${JSON.stringify(place.key)}: ${now.id}`,
    })
  }
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
