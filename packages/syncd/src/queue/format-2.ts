import type { Place } from '@stored/core'
import { encodeRow, type Reader, type TreeLedger, writerOf } from '@stored/ledger'
import { decodeFormer, type FormerRow, partsOf, type Rewriter, told } from '@stored/ledger/format-2'
import { JobMoves } from './job-moves.ts'
import { type JobRow, JobRows } from './job-rows.ts'
import { parsePlaceKey, placeKey } from './keys.ts'

/** Of processes that are gone: who syncs, and what is known of its backends. */
const PASSING = ['syncer', 'health', 'synced']

/**
 * What becomes of the jobs of format 2. Those that ran are written as running: `recover` says what becomes of them, as it does whenever a
 * process is gone.
 */
export function rewriterOf(ledger: TreeLedger): Rewriter {
  const moves = new JobMoves(new JobRows(ledger))
  return (row, former) => {
    const { tree, key } = row
    if (tree === 'meta') return metaOf(row)
    if (tree === 'keys') {
      const { partition, tag, suffix } = partsOf(row)
      if (tag !== 'W') return null
      const place = { backend: suffix.toString(), key: partition.toString() }
      const job = decodeFormer<JobRow>(row).value
      const isDue = !runs(former, place)
      return (tx) => moves.wait(writerOf(tx), place, job, isDue)
    }
    if (tree !== 'running' && tree !== 'parked') return null
    const place = parsePlaceKey(key)
    const job = decodeFormer<JobRow>(row).value
    if (tree === 'running') return (tx) => moves.restoreRunning(writerOf(tx), place, job)
    return (tx) => moves.restoreParked(writerOf(tx), place, job)
  }
}

function metaOf(row: FormerRow): ReturnType<Rewriter> {
  const [kind = ''] = row.key.toString().split('\0')
  if (PASSING.includes(kind)) return told
  if (kind !== 'boot' && kind !== 'pause') return null
  const { value } = decodeFormer(row)
  return (tx) => writerOf(tx).put('meta', row.key, encodeRow(value, tx.ticket))
}

function runs(former: Reader, place: Place): boolean {
  return former.get('running', placeKey(place), () => true) ?? false
}
