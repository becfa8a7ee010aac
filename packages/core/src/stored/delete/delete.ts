import { StorageError } from '../../backend/error.ts'
import { isId } from '../../backend/keys.ts'
import { is, type RulesOf } from '../../backend/rules.ts'
import type { BlobId } from '../../model/blob.ts'
import type { DeleteEvent } from '../../model/event.ts'
import type { Transaction, View } from '../../ports/ledger.ts'
import { type Also, type OnCommit, transactWith } from '../also.ts'
import { MATCH, matchOf } from '../lookup/conditions.ts'
import { checkName } from '../lookup/names.ts'
import { walk } from '../lookup/walk.ts'
import type { Services } from '../services.ts'
import type { DeleteOptions, DeleteResult } from '../types.ts'
import { checkOwners, type Doomed, deletable } from './deletable.ts'
import { type DeletedPage, planPage, removePages } from './deletion.ts'
import { dropCopies } from './drop.ts'
import { type Leaving, leave, leavingBlob, leavingWith, pendingOn } from './give-up.ts'

export const DELETE_OPTIONS: RulesOf<DeleteOptions> = {
  backends: is.names,
  ifMatch: MATCH,
  dryRun: is.boolean,
  also: is.callback,
  signal: is.signal,
}

const NOTHING: DeleteResult = { deleted: [], pending: [] }

/** Unbinds and queues the removal of objects; or, with `backends`, only drops copies. */
export async function remove(
  services: Services,
  idOrKey: string,
  options: DeleteOptions,
  onCommit: OnCommit,
  signal: AbortSignal,
): Promise<DeleteResult> {
  const at = { op: 'delete', key: idOrKey }
  checkName(idOrKey, at)
  const { backends, ifMatch, dryRun = false, also } = options
  if (dryRun && also)
    throw new StorageError('INVALID_ARGUMENT', at, { detail: 'a dryRun commits nothing: leave also out' })
  if (ifMatch !== undefined && isId(idOrKey))
    throw new StorageError('INVALID_ARGUMENT', at, { detail: 'ifMatch says what a key must be: name a key' })
  const what = { name: idOrKey, ifMatch: ifMatch && matchOf(ifMatch) }
  if (backends !== undefined) {
    services.backends.select(backends, at)
    return { deleted: [], pending: await dropCopies(services, what, { backends, dryRun, also, onCommit, signal }) }
  }
  return dryRun ? preview(services, what, signal) : removeName(services, what, also, onCommit, signal)
}

async function removeName(
  services: Services,
  what: Doomed,
  also: Also | undefined,
  onCommit: OnCommit,
  signal: AbortSignal,
): Promise<DeleteResult> {
  const at = { op: 'delete', key: what.name }
  const { value, events } = await transactWith(services, also, at, (tx, add) => {
    const planned = planDelete(services, tx, what)
    add()
    return planned
  })
  if (value || also) onCommit(...events)
  if (!value) return NOTHING
  const { id, isForgotten, keys, pending } = value
  // Bytes that were deleted are kept nowhere.
  if (isForgotten) await services.cache?.drop(id)
  if (value.isLast) return { deleted: keys, pending }
  const pages: DeletedPage[] = [value]
  for await (const { events, ...page } of removePages(services, id, signal)) {
    pages.push(page)
    onCommit(...events)
  }
  return {
    deleted: pages.flatMap((page) => page.keys),
    pending: [...new Set(pages.flatMap((page) => page.pending))],
  }
}

interface Planned extends DeletedPage {
  readonly id: BlobId
  readonly isForgotten: boolean
}

/** @returns `null`: nothing has this name. */
function planDelete(services: Services, tx: Transaction, what: Doomed): Planned | null {
  const leaving = leavingUnder(services, tx, what)
  if (!leaving) return null
  const { id, isForgotten, isMore } = leaving
  const pending = pendingOn(services, tx, leaving.places)
  leave(services, tx, leaving)
  const page = isMore && leaving.keys.length === 0 ? planPage(services, tx, id) : { keys: [], pending: [] }
  const keys = [...leaving.keys, ...page.keys]
  const event: DeleteEvent = { type: 'delete', checksum: id, keys, ...(isMore && { more: true }), time: tx.now }
  services.ledger.record(tx, event)
  return { id, isForgotten, keys, pending: [...new Set([...pending, ...page.pending])], isLast: !isMore }
}

/**
 * What a name means: a key its binding, an id all its keys.
 *
 * @throws {StorageError} PRECONDITION_FAILED, INVALID_KEY: it must not go.
 */
function leavingUnder(services: Services, view: View, { name, ifMatch }: Doomed): Leaving | null {
  const at = { op: 'delete', key: name }
  if (!isId(name)) {
    const bound = deletable(services, view, { name, ifMatch }, at)
    return bound && leavingWith(services, view, bound)
  }
  if (!services.index.facts(view, name)) return null
  checkOwners(services, view, name, at)
  return leavingBlob(services, view, name)
}

/** What a deletion would do. */
async function preview(services: Services, what: Doomed, signal: AbortSignal): Promise<DeleteResult> {
  const { index, ledger } = services
  const leaving = await ledger.look((view) => {
    const found = leavingUnder(services, view, what)
    return found && { ...found, pending: pendingOn(services, view, found.places) }
  })
  if (!leaving) return NOTHING
  const { id, keys, pending, isMore } = leaving
  if (!isMore) return { deleted: keys, pending }
  const places = walk(ledger, signal, (view, from) => {
    const { items, next } = index.live(view, id, { from })
    return { items: pendingOn(services, view, items), next }
  })
  return { deleted: await allKeys(services, id, signal), pending: [...new Set(await Array.fromAsync(places))] }
}

async function allKeys({ index, ledger }: Services, id: BlobId, signal: AbortSignal): Promise<string[]> {
  const keys = walk(ledger, signal, (view, from) => {
    const items = index.keys(view, id, from && { after: Buffer.from(from).toString() })
    const last = items.at(-1)
    return { items, next: last === undefined ? null : Buffer.from(last) }
  })
  return Array.fromAsync(keys)
}
