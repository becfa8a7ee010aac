import type { BadState } from '../../model/copy.ts'
import type { Index } from '../../ports/index.ts'
import type { BackendInfo } from '../types.ts'

const STATES: readonly BadState[] = ['corrupt', 'missing', 'unknown', 'failed', 'conflict']
/** More tells nobody more, and takes longer. */
const MOST = 1000

/** How many copies stand badly on a backend. Looks at no others. */
export async function countBad(index: Index, backend: string): Promise<BackendInfo['bad']> {
  const counts: Partial<Record<BadState, number>> = {}
  for (const state of STATES) {
    const { length } = await index.bad({ backend, state, limit: MOST })
    if (length > 0) counts[state] = length
  }
  return counts
}
