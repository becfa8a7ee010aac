import { doubted, type Location } from '../../model/copy.ts'
import type { Cursor, Index } from '../../ports/index.ts'
import type { Ledger, Transaction } from '../../ports/ledger.ts'

type Services = { readonly ledger: Ledger; readonly index: Index }

/**
 * Counts no copy on a backend that was removed: what is added under its name may be another place. The rows stay, for `verify`.
 * What is owed stays owed.
 */
export async function doubtCopies(services: Services, backend: string, signal: AbortSignal): Promise<void> {
  let from: Cursor | null | undefined
  while (from !== null) {
    signal.throwIfAborted()
    const after: Cursor | undefined = from
    const { value } = await services.ledger.transact((tx) => planDoubt(services.index, tx, backend, after))
    from = value
  }
}

/** One page: puts wait for it. @returns Where to go on. */
function planDoubt(index: Index, tx: Transaction, backend: string, from: Cursor | undefined): Cursor | null {
  const { items, next } = index.located(tx, { backend, from })
  for (const location of items) if (isSynced(location)) index.locate(tx, doubted(location))
  return next
}

function isSynced({ state }: Location): boolean {
  return state === 'synced'
}
