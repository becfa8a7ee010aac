import type { JobCounts, StoreStatus } from '@stored/core'
import { count } from '../output/format.ts'
import type { Output } from '../output/output.ts'

/** Reports jobs for backends that are not configured. */
export function noteDetached(out: Output, { detached }: StoreStatus): void {
  for (const [name, jobs] of Object.entries(detached))
    out.note(`${name} is not configured: ${count(jobsOf(jobs), 'job')} left until it is`)
}

/** Jobs in any state. */
export function jobsOf({ waiting, running, parked }: JobCounts): number {
  return waiting + running + parked
}
