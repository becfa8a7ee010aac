import type { Place } from '../../model/copy.ts'
import type { Index } from '../../ports/index.ts'
import type { Transaction } from '../../ports/ledger.ts'
import type { Queue } from '../../ports/queue.ts'

/** A place goes, and the job that waits there: nothing is to lie there, or what lies there stays. */
export function vacate(
  { index, queue }: { readonly index: Index; readonly queue: Queue },
  tx: Transaction,
  place: Place,
): void {
  queue.drop(tx, place)
  index.unlocate(tx, place)
}
