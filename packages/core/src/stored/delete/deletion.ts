import type { BlobId } from '../../model/blob.ts'
import type { DeleteEvent, DurableEvent, Logged } from '../../model/event.ts'
import type { Transaction } from '../../ports/ledger.ts'
import { objectsOf } from '../lookup/copies.ts'
import type { Services } from '../services.ts'
import { KEYS, leave, pendingOn } from './give-up.ts'

/*
 * The deletion of a blob with more keys, or places, than one commit removes.
 *
 * (1) One commit takes the facts from all readers and notes that the deletion is at work; what all keys share is given up.
 * (2) Each further one removes a page of keys, with their own copies.
 * (3) The last one finds none, and removes the facts and the note.
 *
 * In between a put makes the blob live again: its keys are then of another generation, and the deletion does not see them. A put to a key
 * that it has not come to removes that key first. After a crash, who opens the store goes on, and who syncs, when it next hears of a commit of another process.
 */

type Rows = Pick<Services, 'index' | 'ledger' | 'queue' | 'staging'>

/** What one commit of a deletion did. */
export interface DeletedPage {
  readonly keys: readonly string[]
  readonly pending: readonly string[]
  readonly isLast: boolean
}

/** Removes some keys of a blob that was deleted; once none is left, what else its places are. */
export function planPage(rows: Rows, tx: Transaction, id: BlobId): DeletedPage {
  const { index } = rows
  const keys = index.deletedKeys(tx, id, { limit: KEYS })
  const isGone = index.facts(tx, id) === null
  const rest = keys.length === 0 && isGone ? index.live(tx, id) : { items: [], next: null }
  const places = [...keys.flatMap((key) => objectsOf(rows, tx, id, key)), ...rest.items]
  const pending = pendingOn(rows, tx, places)
  leave(rows, tx, { id, keys, places, isForgotten: false, isMore: false })
  const isLast = keys.length === 0 && rest.next === null
  if (isLast) index.endDeletion(tx, id)
  return { keys, pending, isLast }
}

/** Pages of a deletion until it has ended, each with what its commit recorded. */
export async function* removePages(
  services: Rows,
  id: BlobId,
  signal?: AbortSignal,
): AsyncGenerator<DeletedPage & { readonly events: readonly Logged<DurableEvent>[] }, void, void> {
  for (let isLast = false; !isLast; ) {
    signal?.throwIfAborted()
    const { value, events } = await services.ledger.transact((tx) => {
      const page = planPage(services, tx, id)
      const event: DeleteEvent = { type: 'delete', checksum: id, keys: page.keys, time: tx.now }
      if (page.keys.length > 0) services.ledger.record(tx, event)
      return page
    })
    isLast = value.isLast
    yield { ...value, events }
  }
}

/** Ends the deletions that are at work: whoever began them may be gone. */
export async function finishDeletions(
  services: Rows,
  onPage: (...events: readonly Logged<DurableEvent>[]) => void,
  isClosing: () => boolean,
): Promise<void> {
  while (!isClosing()) {
    const [id] = await services.ledger.look((view) => services.index.deletions(view, { limit: 1 }))
    if (id === undefined) return
    for await (const { events } of removePages(services, id)) {
      onPage(...events)
      if (isClosing()) return
    }
  }
}
