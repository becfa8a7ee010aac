import type { BlobId } from '../../model/blob.ts'
import { givenUp, type Location, type Place } from '../../model/copy.ts'
import type { Binding } from '../../model/key.ts'
import type { Transaction, View } from '../../ports/ledger.ts'
import { objectsOf } from '../lookup/copies.ts'
import type { Services } from '../services.ts'

type Rows = Pick<Services, 'index' | 'queue' | 'staging'>

/** Keys that go in one commit: each takes five rows and more. */
export const KEYS = 100

/** What goes with a key, or with a blob. */
export interface Leaving {
  readonly id: BlobId
  readonly keys: readonly string[]
  readonly places: readonly Location[]
  /** No key is left. */
  readonly isForgotten: boolean
  /** It has more keys or places than one commit removes: others follow. */
  readonly isMore: boolean
}

/** What goes with a key of a blob: its own copies, and shared ones that no other key wants; with the last key all of them, and the blob. */
export function leavingWith(rows: Pick<Rows, 'index'>, view: View, bound: Binding): Leaving {
  const { id, key } = bound
  if (rows.index.keys(view, id, { limit: 2 }).every((other) => other === key)) return leavingAll(rows, view, id, [key])
  const places = [...objectsOf(rows, view, id, key), ...sharedByNoOther(rows, view, id, [bound])]
  return { id, keys: [key], places, isForgotten: false, isMore: false }
}

/** The shared copies of a blob that no other keys than these want. */
export function sharedByNoOther(
  { index }: Pick<Rows, 'index'>,
  view: View,
  id: BlobId,
  bindings: readonly Pick<Binding, 'key' | 'wanted'>[],
): Location[] {
  if (!bindings.some(({ wanted }) => Object.values(wanted).includes('shared'))) return []
  const except = bindings.map(({ key }) => key)
  return index.shared(view, id).filter(({ backend }) => !index.isShared(view, { id, backend, except }))
}

/** What goes with a blob; of one with many keys, what all of them share. */
export function leavingBlob(rows: Pick<Rows, 'index'>, view: View, id: BlobId): Leaving {
  const keys = rows.index.keys(view, id, { limit: KEYS + 1 })
  if (keys.length > KEYS) return { id, keys: [], places: rows.index.shared(view, id), isForgotten: true, isMore: true }
  return leavingAll(rows, view, id, keys)
}

function leavingAll(rows: Pick<Rows, 'index'>, view: View, id: BlobId, keys: readonly string[]): Leaving {
  const { items, next } = rows.index.live(view, id)
  if (next === null) return { id, keys, places: items, isForgotten: true, isMore: false }
  const own = keys.flatMap((key) => objectsOf(rows, view, id, key))
  return { id, keys, places: [...own, ...rows.index.shared(view, id)], isForgotten: true, isMore: true }
}

/** Unbinds keys, and gives places up; forgets their blob, if it goes too; releases its staged bytes, if nothing owes them any more. */
export function leave(rows: Rows, tx: Transaction, { id, keys, places, isForgotten, isMore }: Leaving): void {
  const { index, staging } = rows
  for (const key of keys) if (index.binding(tx, key)?.id === id) index.unbind(tx, key)
  for (const place of places) giveUp(rows, tx, place)
  if (!isForgotten && places.some(({ shared }) => shared)) touch(rows, tx, id)
  if (isMore) index.beginDeletion(tx, id)
  else if (isForgotten) index.forget(tx, id)
  if (!index.hasPlace(tx, { id, standing: 'owing' })) staging.release(tx, id)
}

/** Writes the facts once more: who looked at the keys and copies before does not rely on what he found. */
export function touch({ index }: Pick<Rows, 'index'>, tx: Transaction, id: BlobId): void {
  const facts = index.facts(tx, id)
  if (facts) index.keep(tx, facts)
}

/** Removes a key whose blob was deleted, before the deletion comes to it. */
export function retire(rows: Rows, tx: Transaction, { id, key }: Pick<Binding, 'id' | 'key'>): void {
  const places = objectsOf(rows, tx, id, key)
  leave(rows, tx, { id, keys: [key], places, isForgotten: false, isMore: false })
}

/** Backends on which something is left to be removed when places are given up. */
export function pendingOn(rows: Pick<Rows, 'queue'>, view: View, places: readonly Location[]): string[] {
  return [...new Set(places.filter((one) => whenGivenUp(rows, view, one)).map(({ backend }) => backend))]
}

/** What becomes of a place that nobody wants any more; `null`: nothing can lie there. */
function whenGivenUp({ queue }: Pick<Rows, 'queue'>, view: View, location: Location) {
  return givenUp(location, location.holds?.id !== location.id && queue.begun(view, location))
}

/** Nobody wants a copy any more: a job removes it. Where nothing can lie, the place goes at once. */
function giveUp({ index, queue }: Rows, tx: Transaction, location: Location): void {
  // Asked before its job is replaced.
  const row = whenGivenUp({ queue }, tx, location)
  if (!row) {
    vacate({ index, queue }, tx, location)
    return
  }
  const { backend, key, id } = row
  index.locate(tx, row)
  queue.enqueue(tx, { op: 'delete', backend, key, id, size: 0 })
}

/** A place goes, and the job that waits there: nothing is to lie there, or what lies there stays. */
export function vacate({ index, queue }: Pick<Rows, 'index' | 'queue'>, tx: Transaction, place: Place): void {
  queue.drop(tx, place)
  index.unlocate(tx, place)
}
