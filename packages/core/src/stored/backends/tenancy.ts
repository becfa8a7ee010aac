import type { Tenure } from '../../model/tenure.ts'
import type { Index } from '../../ports/index.ts'
import type { Transaction, View } from '../../ports/ledger.ts'
import type { Generation } from '../../ports/syncer.ts'

type Rows = { readonly index: Index }

/** Whether the backend that this process has open is still the one of its name: another process may have removed it. */
export function isCurrent({ index }: Rows, view: View, name: string, generation: Generation | undefined): boolean {
  return isOf(index.tenure(view, name), generation)
}

/** Whether a copy there may be relied on, or one be owed: it is current, and is not being removed. */
export function isReliable(rows: Rows, view: View, name: string, generation: Generation | undefined): boolean {
  const tenure = rows.index.tenure(view, name)
  return isOf(tenure, generation) && !isLeaving(rows, view, name, tenure)
}

function isOf(tenure: Tenure, generation: Generation | undefined): boolean {
  return generation !== undefined && tenure.generation === generation.value
}

/** Some copies count no more: every removal under way may have counted on them. */
export function takeMarksBack({ index }: Rows, tx: Transaction): void {
  for (const name of index.leaving(tx)) index.setLeaving(tx, name, null)
}

/**
 * Whether a backend is being removed: then nothing may come to rely on it.
 *
 * A mark whose time is over is taken back, by whoever it hinders: the process that set it died, or stood still. It finds its mark gone.
 */
export function isLeaving(
  { index }: Rows,
  view: View | Transaction,
  name: string,
  { leaving } = index.tenure(view, name),
): boolean {
  if (!leaving) return false
  if (!('now' in view) || view.now < leaving.until) return true
  index.setLeaving(view, name, null)
  return false
}
