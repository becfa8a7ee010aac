import type { ErrorLocation } from '../../backend/error.ts'
import { isId } from '../../backend/keys.ts'
import { is, type RulesOf } from '../../backend/rules.ts'
import type { BlobId } from '../../model/blob.ts'
import type { DeleteEvent, Logged } from '../../model/event.ts'
import type { Transaction, View } from '../../ports/ledger.ts'
import { eachKey, factsUnder, livePlaces, placesUnder } from '../lookup/copies.ts'
import { checkName } from '../lookup/names.ts'
import { walk } from '../lookup/walk.ts'
import type { Services } from '../services.ts'
import type { DeleteOptions, DeleteResult } from '../types.ts'
import { type Leaving, leave, leavingWith, whenGivenUp } from './give-up.ts'
import { checkRemains } from './remaining.ts'

export interface DeleteOutcome extends DeleteResult {
  /** Whether something was committed. */
  readonly isDone: boolean
  /** Absent when no key was unbound. */
  readonly event?: Logged<DeleteEvent>
}

export const DELETE_OPTIONS: RulesOf<DeleteOptions> = { backends: is.names, dryRun: is.boolean, signal: is.signal }

/** What a deletion does: which keys it unbinds, and which places go. */
interface Deletion extends Leaving {
  readonly keys: readonly string[]
}

type Rows = Pick<Services, 'backends' | 'index' | 'ledger' | 'prefix' | 'queue' | 'staging'>

/** Unbinds and queues the removal of objects; or, with `backends`, only drops copies. */
export async function remove(
  services: Services,
  idOrKey: string,
  options: DeleteOptions,
  signal: AbortSignal,
): Promise<DeleteOutcome> {
  const at = { op: 'delete', key: idOrKey }
  checkName(idOrKey, at)
  const { backends, dryRun } = options
  if (backends !== undefined) services.backends.select(backends, at)
  const decide = (view: View) =>
    backends ? dropOf(services, view, idOrKey, backends) : deletionOf(services, view, idOrKey)
  if (isId(idOrKey)) await passKeys(services, idOrKey, signal)
  if (dryRun) return services.ledger.look((view) => resultOf(services, view, decide(view)))
  const { value, position, seq } = await services.ledger.transact((tx) => planDelete(services, tx, decide(tx)))
  // Bytes that were deleted are kept nowhere.
  if (value.forgotten) await services.cache?.drop(value.forgotten)
  const { deleted, pending, event } = value
  return { deleted, pending, isDone: value.isDone, ...(event && { event: { ...event, position, seq } }) }
}

/** Reads the keys of a blob once beforehand, a page a turn: a plan that takes long cannot be aborted. */
async function passKeys({ index, ledger }: Services, id: BlobId, signal: AbortSignal): Promise<void> {
  const keys = walk(ledger, signal, (view, from) => {
    const last = index.keys(view, id, from && { after: Buffer.from(from).toString() }).at(-1)
    return { items: [], next: last === undefined ? null : Buffer.from(last) }
  })
  for await (const _ of keys);
}

/** What a name means: a key its binding, an id all its keys. */
function deletionOf(rows: Rows, view: View, idOrKey: string): Deletion | null {
  const id = factsUnder(rows, view, idOrKey)?.id
  if (id === undefined) return null
  if (!isId(idOrKey)) return { ...leavingWith(rows, view, id, idOrKey), keys: [idOrKey] }
  return { id, isForgotten: true, keys: [...eachKey(rows, view, id)], places: livePlaces(rows, view, id) }
}

/** Copies on some backends, and neither keys nor the blob. @throws {StorageError} PRECONDITION_FAILED: too little would remain. */
function dropOf(rows: Rows, view: View, idOrKey: string, backends: readonly string[]): Deletion | null {
  const id = factsUnder(rows, view, idOrKey)?.id
  if (id === undefined) return null
  const places = placesUnder(rows, view, id, idOrKey).filter(({ backend }) => backends.includes(backend))
  const at: ErrorLocation = { op: 'delete', key: idOrKey }
  if (places.length > 0) checkRemains(rows, view, id, places, at)
  return { id, isForgotten: false, keys: [], places }
}

interface Planned extends DeleteResult {
  readonly isDone: boolean
  readonly forgotten?: BlobId
  readonly event?: DeleteEvent
}

function planDelete(rows: Rows, tx: Transaction, deletion: Deletion | null): Planned {
  const result = resultOf(rows, tx, deletion)
  if (!deletion) return result
  const { id, keys, isForgotten } = deletion
  for (const key of keys) rows.index.unbind(tx, key)
  leave(rows, tx, deletion)
  if (keys.length === 0 && !isForgotten) return { ...result, isDone: true }
  const event: DeleteEvent = { type: 'delete', checksum: id, keys, time: tx.now }
  rows.ledger.record(tx, event)
  return { ...result, isDone: true, event, ...(isForgotten && { forgotten: id }) }
}

/** What its caller is told. */
function resultOf(rows: Rows, view: View, deletion: Deletion | null): DeleteOutcome {
  if (!deletion) return { deleted: [], pending: [], isDone: false }
  const left = deletion.places.filter((place) => whenGivenUp(rows, view, place) !== null)
  return { deleted: deletion.keys, pending: [...new Set(left.map(({ backend }) => backend))], isDone: false }
}
