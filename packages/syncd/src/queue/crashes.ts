import type { JobRow } from './job-rows.ts'
import { INNOCENT_MS } from './limits.ts'

/** What becomes of the row of a job that its process died with. */
export type Verdict = (row: JobRow) => JobRow

export const unchanged: Verdict = (row) => row
const cleared: Verdict = ({ crashes: _, alone: __, retrial: ___, ...row }) => row
const crashed: Verdict = ({ crashes = 0, retrial: _, ...row }) => ({ ...row, crashes: crashes + 1 })
const isolated: Verdict = (row) => ({ ...row, alone: true })

/** @param all What ran when the process died. */
export function judgeOf(all: readonly JobRow[]): (row: JobRow) => Verdict {
  const marked = all.filter((row) => row.marked && !isInnocent(row)).length
  return (row) => {
    if (isInnocent(row)) return cleared
    if (row.crashes === undefined) return crashed
    if (!row.marked) return unchanged
    return marked === 1 ? crashed : isolated
  }
}

/** One that crashed before begins when it is marked: until then it holds its lease, and waits for its turn. */
function isInnocent({ crashes, marked, since = 0, renewed = since }: JobRow): boolean {
  return (crashes === undefined || marked === true) && renewed - since >= INNOCENT_MS
}
