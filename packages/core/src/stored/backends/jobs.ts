import type { ErrorLocation } from '../../backend/error.ts'
import { checkOptions } from '../../backend/options.ts'
import { is, type RulesOf } from '../../backend/rules.ts'
import { owedAgain, owes } from '../../model/copy.ts'
import type { Job, JobFilter } from '../../model/job.ts'
import type { Transaction } from '../../ports/ledger.ts'
import { checkName, ID } from '../lookup/names.ts'
import type { Services } from '../services.ts'
import { isLeaving } from './tenancy.ts'

const STATES: readonly Job['state'][] = ['waiting', 'running', 'parked']
export const RETRY_FILTER: RulesOf<Omit<JobFilter, 'state'>> = {
  backend: is.text,
  key: is.text,
  id: ID,
  signal: is.signal,
}
const FILTER: RulesOf<JobFilter> = { ...RETRY_FILTER, state: is.oneOf(STATES) }

/** @returns What was checked. @throws {StorageError} INVALID_ARGUMENT, INVALID_KEY. */
export function checkJobsFilter(services: Services, given: JobFilter): JobFilter {
  const at = { op: 'jobs' }
  const filter = checkOptions(given, FILTER, at)
  checkFilter(services, filter, at)
  return filter
}

/** Jobs as they are now: those that run, those that were parked, those that wait. */
export async function* jobs(
  { queue }: Services,
  filter: JobFilter,
  signal: AbortSignal,
): AsyncGenerator<readonly Job[], void, void> {
  yield* queue.jobs({ ...filter, signal })
}

/** Lets parked jobs wait again, and their places be owed again. @returns How many. */
export async function retryParked(
  services: Services,
  filter: Omit<JobFilter, 'state'>,
  signal: AbortSignal,
): Promise<number> {
  const at = { op: 'retry' }
  checkFilter(services, filter, at)
  let count = 0
  for await (const page of services.queue.jobs({ ...filter, state: 'parked', signal }))
    for (const job of page) {
      signal.throwIfAborted()
      const { value } = await services.ledger.transact((tx) => planRetry(services, tx, job))
      if (value) count++
    }
  return count
}

/** The parked job of a place waits again, whichever it is by now; not while its backend is being removed. */
function planRetry({ index, queue }: Services, tx: Transaction, job: Job): boolean {
  if (isLeaving({ index }, tx, job.backend)) return false
  queue.unpark(tx, job)
  const now = index.location(tx, job)
  if (now && (owes(now) || now.state === 'deleting')) index.locate(tx, owedAgain(now))
  return true
}

function checkFilter({ backends }: Services, filter: JobFilter, at: ErrorLocation): void {
  if (filter.backend !== undefined) backends.get(filter.backend, at)
  if (filter.key !== undefined) checkName(filter.key, at)
}
