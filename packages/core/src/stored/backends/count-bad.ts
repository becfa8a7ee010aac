import type { BadState } from '../../model/copy.ts'
import type { Index } from '../../ports/index.ts'
import type { View } from '../../ports/ledger.ts'
import type { BackendInfo } from '../types.ts'

const STATES: readonly BadState[] = ['corrupt', 'missing', 'unknown', 'failed', 'conflict']
/** More tells nobody more, and takes longer. */
const MOST = 1000

/** How many copies stand badly on a backend. Looks at no others. */
export function countBad(index: Index, view: View, backend: string): BackendInfo['bad'] {
  const counts: Partial<Record<BadState, number>> = {}
  for (const state of STATES) {
    const { length } = index.bad(view, { backend, state, limit: MOST })
    if (length > 0) counts[state] = length
  }
  return counts
}
