import { StorageError } from '../../backend/error.ts'
import { isId } from '../../backend/keys.ts'
import { is, type RulesOf } from '../../backend/rules.ts'
import type { BlobId } from '../../model/blob.ts'
import type { DeleteEvent } from '../../model/event.ts'
import type { Transaction, View } from '../../ports/ledger.ts'
import { type Also, type OnCommit, transactWith } from '../also.ts'
import { factsUnder } from '../lookup/copies.ts'
import { checkName } from '../lookup/names.ts'
import { walk } from '../lookup/walk.ts'
import type { Services } from '../services.ts'
import type { DeleteOptions, DeleteResult } from '../types.ts'
import { type DeletedPage, planPage, removePages } from './deletion.ts'
import { dropCopies } from './drop.ts'
import { type Leaving, leave, leavingBlob, leavingWith, pendingOn } from './give-up.ts'

export const DELETE_OPTIONS: RulesOf<DeleteOptions> = {
  backends: is.names,
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
  const { backends, dryRun = false, also } = options
  if (dryRun && also)
    throw new StorageError('INVALID_ARGUMENT', at, { detail: 'a dryRun commits nothing: leave also out' })
  if (backends !== undefined) {
    services.backends.select(backends, at)
    return { deleted: [], pending: await dropCopies(services, idOrKey, { backends, dryRun, also, onCommit, signal }) }
  }
  return dryRun ? preview(services, idOrKey, signal) : removeName(services, idOrKey, also, onCommit, signal)
}

async function removeName(
  services: Services,
  idOrKey: string,
  also: Also | undefined,
  onCommit: OnCommit,
  signal: AbortSignal,
): Promise<DeleteResult> {
  const at = { op: 'delete', key: idOrKey }
  const { value, events } = await transactWith(services, also, at, (tx, add) => {
    const planned = planDelete(services, tx, idOrKey)
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
function planDelete(services: Services, tx: Transaction, idOrKey: string): Planned | null {
  const leaving = leavingUnder(services, tx, idOrKey)
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

/** What a name means: a key its binding, an id all its keys. */
function leavingUnder(services: Services, view: View, idOrKey: string): Leaving | null {
  const id = factsUnder(services, view, idOrKey)?.id
  if (id === undefined) return null
  return isId(idOrKey) ? leavingBlob(services, view, id) : leavingWith(services, view, id, idOrKey)
}

/** What a deletion would do. */
async function preview(services: Services, idOrKey: string, signal: AbortSignal): Promise<DeleteResult> {
  const { index, ledger } = services
  const leaving = await ledger.look((view) => {
    const found = leavingUnder(services, view, idOrKey)
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
