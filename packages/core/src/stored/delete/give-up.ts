import type { BlobId } from '../../model/blob.ts'
import { givenUp, type Location, type Place } from '../../model/copy.ts'
import type { Transaction, View } from '../../ports/ledger.ts'
import { livePlaces, objectsOf } from '../lookup/copies.ts'
import type { Services } from '../services.ts'

type Rows = Pick<Services, 'index' | 'queue' | 'staging'>

/** What goes with a key, or with a blob. */
export interface Leaving {
  readonly id: BlobId
  readonly places: readonly Location[]
  /** No key is left. */
  readonly isForgotten: boolean
}

/** What goes with a key of a blob: its own copies; with the last key all of them, and the blob. */
export function leavingWith(rows: Pick<Rows, 'index'>, view: View, id: BlobId, key: string): Leaving {
  const isForgotten = rows.index.keys(view, id, { limit: 2 }).every((other) => other === key)
  return { id, isForgotten, places: isForgotten ? livePlaces(rows, view, id) : objectsOf(rows, view, id, key) }
}

/** Gives places up; forgets their blob, if it goes too; releases its staged bytes, if nothing owes them any more. */
export function leave(rows: Rows, tx: Transaction, { id, places, isForgotten }: Leaving): void {
  const { index, staging } = rows
  for (const place of places) giveUp(rows, tx, place)
  if (isForgotten) index.forget(tx, id)
  // Of a blob that goes, every place was given up.
  if (isForgotten || !index.hasPlace(tx, { id, standing: 'owing' })) staging.release(tx, id)
}

/** What becomes of a place that nobody wants any more; `null`: nothing can lie there. */
export function whenGivenUp({ queue }: Pick<Rows, 'queue'>, view: View, location: Location) {
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
