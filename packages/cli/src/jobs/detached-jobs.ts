import type { JobCounts, StoreStatus } from '@stored/core'
import { count } from '../output/format.ts'
import type { Output } from '../output/output.ts'

/** Tells of jobs that no backend of the configuration is there for. */
export function noteDetached(out: Output, { detached }: StoreStatus): void {
  for (const [name, jobs] of Object.entries(detached))
    out.note(`${name} is not configured: ${count(jobsOf(jobs), 'job')} left for when it is`)
}

/** Jobs in whatever state. */
export function jobsOf({ waiting, running, parked }: JobCounts): number {
  return waiting + running + parked
}
