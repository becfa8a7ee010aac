import { isId } from '../../backend/keys.ts'
import type { BlobId } from '../../model/blob.ts'
import type { Location, Place } from '../../model/copy.ts'
import type { Binding } from '../../model/key.ts'
import type { Transaction, View } from '../../ports/ledger.ts'
import { type Also, type OnCommit, transactWith } from '../also.ts'
import { objectsOf } from '../lookup/copies.ts'
import type { Services } from '../services.ts'
import { checkOwners, type Doomed, deletable } from './deletable.ts'
import { KEYS, leave, pendingOn, sharedByNoOther, touch } from './give-up.ts'
import { checkRemains } from './remaining.ts'

interface DropOptions {
  readonly backends: readonly string[]
  readonly dryRun: boolean
  readonly also: Also | undefined
  readonly onCommit: OnCommit
  readonly signal: AbortSignal
}

/** What one commit does. */
interface Drop {
  readonly id: BlobId
  /** Keys that want a copy on these backends no longer. */
  readonly keys: readonly Binding[]
  readonly places: readonly Location[]
  /** Backends that still hold objects to be removed. */
  readonly pending: readonly string[]
  readonly isChange: boolean
}

/**
 * Takes backends out of what a key, or all keys of an id, want, and gives up the copies that nobody wants any more; neither keys nor the blob.
 * Of an id with many keys each page of them is a commit, decided by itself; before the first one all of them are looked at.
 *
 * @returns Backends that still hold objects to be removed.
 * @throws {StorageError} PRECONDITION_FAILED: too little would remain, or the key is not what `ifMatch` says.
 */
export async function dropCopies(services: Services, what: Doomed, o: DropOptions): Promise<string[]> {
  if (isId(what.name) && !o.dryRun) await dropPages(services, what, { ...o, dryRun: true })
  return dropPages(services, what, o)
}

async function dropPages(services: Services, what: Doomed, o: DropOptions): Promise<string[]> {
  const pending = new Set<string>()
  for (let after: string | undefined, also = o.also; ; also = undefined) {
    o.signal.throwIfAborted()
    const drop = await (o.dryRun
      ? services.ledger.look((view) => dropOf(services, view, what, o, after))
      : dropPage(services, what, { ...o, also }, after))
    if (!drop) break
    for (const backend of drop.pending) pending.add(backend)
    after = drop.keys.at(-1)?.key
    if (!isId(what.name) || after === undefined) break
  }
  return [...pending]
}

async function dropPage(
  services: Services,
  what: Doomed,
  o: DropOptions,
  after: string | undefined,
): Promise<Drop | null> {
  const at = { op: 'delete', key: what.name }
  const { value, events } = await transactWith(services, o.also, at, (tx, add) => {
    const drop = planDrop(services, tx, dropOf(services, tx, what, o, after), o.backends)
    add()
    return drop
  })
  if (value?.isChange || o.also) o.onCommit(...events)
  return value
}

/** @returns `null`: no key is left. */
function dropOf(services: Services, view: View, what: Doomed, o: DropOptions, after: string | undefined): Drop | null {
  const { name } = what
  const at = { op: 'delete', key: name }
  const keys = isId(name) ? keysOf(services, view, name, at, after) : keyOf(services, view, what, at)
  const id = isId(name) ? name : keys[0]?.id
  if (id === undefined || !services.index.facts(view, id) || (keys.length === 0 && after !== undefined)) return null
  const isThere = ({ backend }: Place) => o.backends.includes(backend)
  const isLast = keys.length < KEYS && after === undefined
  const places = (
    isId(name) ? goingWithAll(services, view, id, keys, { ...o, isLast }) : goingWith(services, view, id, keys)
  ).filter(isThere)
  const isCounted = ({ backend }: Place) => keys.some(({ wanted }) => wanted[backend] === 'shared')
  if (places.length > 0 || services.index.shared(view, id).some((one) => isThere(one) && isCounted(one)))
    checkRemains(services, view, { id, keys: keys.map(({ key }) => key), ...lost(isId(name), isThere, places) }, at)
  const isChange = places.length > 0 || keys.some(({ wanted }) => o.backends.some((backend) => backend in wanted))
  return { id, keys, places, pending: pendingOn(services, view, places), isChange }
}

/** A page of the keys of an id. */
function keysOf(
  services: Services,
  view: View,
  id: BlobId,
  at: { readonly op: string; readonly key: string },
  after: string | undefined,
): Binding[] {
  checkOwners(services, view, id, at)
  const keys = services.index.keys(view, id, { limit: KEYS, ...(after !== undefined && { after }) })
  return keys.flatMap((key) => services.index.binding(view, key) ?? [])
}

function keyOf(services: Services, view: View, what: Doomed, at: { readonly op: string }): Binding[] {
  const bound = deletable(services, view, what, at)
  return bound ? [bound] : []
}

/** Copies that nobody wants once these keys do not. */
function goingWith(services: Services, view: View, id: BlobId, keys: readonly Binding[]): Location[] {
  const own = keys.flatMap(({ key }) => objectsOf(services, view, id, key))
  return [...own, ...sharedByNoOther(services, view, id, keys)]
}

/** The same where all keys of a blob are to want them no longer, a page after the other. */
function goingWithAll(
  services: Services,
  view: View,
  id: BlobId,
  keys: readonly Binding[],
  { dryRun, isLast }: { readonly dryRun: boolean; readonly isLast: boolean },
): Location[] {
  const { items, next } = isLast ? services.index.live(view, id) : { items: [], next: undefined }
  if (next === null) return items
  const going = goingWith(services, view, id, keys)
  // The keys of the pages before still want what was only looked at.
  return dryRun ? [...going.filter(({ shared }) => !shared), ...services.index.shared(view, id)] : going
}

/** Of an id all copies on a backend go in the end. */
function lost(isEach: boolean, isThere: (place: Place) => boolean, places: readonly Location[]) {
  return isEach
    ? { isDropped: isThere, beside: 0, isLost: isThere }
    : { isDropped: among(places), beside: places.length, isLost: isThere }
}

function planDrop(services: Services, tx: Transaction, drop: Drop | null, backends: readonly string[]): Drop | null {
  if (!drop?.isChange) return drop
  const { id, keys, places } = drop
  for (const bound of keys) {
    const before = Object.entries(bound.wanted)
    const wanted = before.filter(([backend]) => !backends.includes(backend))
    // Of a key that wants none of them nothing changes, nor does its version.
    if (wanted.length < before.length) services.index.bind(tx, { ...bound, wanted: Object.fromEntries(wanted) })
  }
  leave(services, tx, { id, keys: [], places, isForgotten: false, isMore: false })
  touch(services, tx, id)
  return drop
}

/** Whether a place is one of a few. */
export function among(places: readonly Place[]): (place: Place) => boolean {
  return ({ backend, key }) => places.some((one) => one.backend === backend && one.key === key)
}
