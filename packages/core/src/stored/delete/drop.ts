import { isId } from '../../backend/keys.ts'
import type { Location, Place } from '../../model/copy.ts'
import type { Transaction, View } from '../../ports/ledger.ts'
import { type Also, type OnCommit, transactWith } from '../also.ts'
import { factsUnder, objectsOf, placesUnder } from '../lookup/copies.ts'
import type { Services } from '../services.ts'
import { KEYS, leave, pendingOn } from './give-up.ts'
import { checkRemains, type Dropped, type Token, Unchecked, whenChecked } from './remaining.ts'

interface DropOptions {
  readonly backends: readonly string[]
  readonly dryRun: boolean
  readonly also: Also | undefined
  readonly onCommit: OnCommit
  readonly signal: AbortSignal
}

/** Copies that go in one commit. */
interface Drop extends Dropped {
  readonly places: readonly Location[]
  /** The copies of single keys follow, a page a commit. */
  readonly isMore: boolean
}

/**
 * Gives up copies on some backends, and neither keys nor the blob. Of an id with many keys first what all of them share, once it is known
 * that each key keeps a copy; then, in pages that are decided by themselves, what they have for themselves.
 *
 * @returns Backends that still hold objects to be removed.
 * @throws {StorageError} PRECONDITION_FAILED: too little would remain · CONFLICT: other calls changed the blob again and again.
 */
export async function dropCopies(services: Services, idOrKey: string, o: DropOptions): Promise<string[]> {
  const at = { op: 'delete', key: idOrKey }
  const attempt = (token: Token | undefined, view: View) => {
    const drop = dropOf(services, view, idOrKey, o.backends)
    if (!drop || (drop.places.length === 0 && !drop.isMore)) return null
    if (!checkRemains(services, view, drop, at, token)) return new Unchecked(drop)
    return { ...drop, pending: pendingOn(services, view, drop.places) }
  }
  const dropped = await whenChecked(services, at, o.signal, async (token) => {
    if (o.dryRun) return services.ledger.look((view) => attempt(token, view))
    const { value, events } = await transactWith(services, o.also, at, (tx, add) => {
      const drop = attempt(token, tx)
      if (drop instanceof Unchecked) return drop
      if (drop) giveUp(services, tx, drop)
      add()
      return drop
    })
    if (!(value instanceof Unchecked) && (value || o.also)) o.onCommit(...events)
    return value
  })
  if (!dropped) return []
  const pending = new Set(dropped.pending)
  if (dropped.isMore) for await (const backend of dropOwn(services, dropped, at, o)) pending.add(backend)
  return [...pending]
}

function dropOf(services: Services, view: View, idOrKey: string, backends: readonly string[]): Drop | null {
  const { index } = services
  const id = factsUnder(services, view, idOrKey)?.id
  if (id === undefined) return null
  const isThere = ({ backend }: Place) => backends.includes(backend)
  if (!isId(idOrKey)) {
    const places = placesUnder(services, view, id, idOrKey).filter(isThere)
    const keys = places.some(({ shared }) => shared) ? null : [idOrKey]
    return { id, places, isDropped: among(places), beside: places.length, keys, isMore: false }
  }
  const { items, next } = index.live(view, id)
  const isMore = next !== null || index.keys(view, id, { limit: KEYS + 1 }).length > KEYS
  const places = (isMore ? index.shared(view, id) : items).filter(isThere)
  return { id, places, isDropped: isThere, beside: 0, keys: null, isMore }
}

/** Gives up the copies that single keys of a blob have for themselves, a page of keys a commit. */
async function* dropOwn(
  services: Services,
  { id, isDropped }: Dropped,
  at: { readonly op: string; readonly key: string },
  { dryRun, onCommit, signal }: DropOptions,
): AsyncGenerator<string, void, void> {
  const { index, ledger } = services
  for (let after: string | undefined; ; ) {
    signal.throwIfAborted()
    const decide = (view: View) => {
      const keys = index.keys(view, id, { limit: KEYS, ...(after !== undefined && { after }) })
      const places = keys.flatMap((key) => objectsOf(services, view, id, key)).filter(isDropped)
      const drop = { id, places, isDropped, beside: 0, keys, isMore: true }
      if (places.length > 0) checkRemains(services, view, drop, at)
      return { ...drop, pending: pendingOn(services, view, places) }
    }
    const { keys, pending } = dryRun
      ? await ledger.look(decide)
      : (
          await ledger.transact((tx) => {
            const drop = decide(tx)
            giveUp(services, tx, drop)
            return drop
          })
        ).value
    yield* pending
    after = keys.at(-1)
    if (after === undefined) return
    if (!dryRun) onCommit()
  }
}

/** Writes the facts once more, too: who looked at the keys before does not rely on what he found. */
function giveUp(services: Services, tx: Transaction, { id, places }: Pick<Drop, 'id' | 'places'>): void {
  const facts = services.index.facts(tx, id)
  if (places.length === 0 || !facts) return
  leave(services, tx, { id, keys: [], places, isForgotten: false, isMore: false })
  services.index.keep(tx, facts)
}

/** Whether a place is one of a few. */
export function among(places: readonly Place[]): (place: Place) => boolean {
  return ({ backend, key }) => places.some((one) => one.backend === backend && one.key === key)
}
