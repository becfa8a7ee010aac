import { type ErrorLocation, StorageError } from '../backend/error.ts'
import { isId } from '../backend/keys.ts'
import { checkOptions } from '../backend/options.ts'
import type { Job, JobFilter, LocationFacts } from '../ports.ts'
import { retryOnConflict } from '../retry-on-conflict.ts'
import { checkName } from './names.ts'
import type { Services } from './services.ts'

const PLACE = ['backend', 'key', 'id']
const STATES: readonly Job['state'][] = ['waiting', 'running', 'parked']

/** Jobs as they are now: those that run, those that were parked, those that wait. */
export function jobs(services: Services, filter: JobFilter): AsyncIterable<Job> {
  const at = { op: 'jobs' }
  checkOptions(filter, [...PLACE, 'state'], at)
  if (filter.state !== undefined && !STATES.includes(filter.state))
    throw new StorageError('INVALID_ARGUMENT', at, { detail: `state is one of ${STATES.join(', ')}` })
  checkFilter(services, filter, at)
  return services.queue.jobs(filter)
}

/** Lets parked jobs wait again, and their places be owed again. @returns How many. */
export async function retryParked(services: Services, filter: Omit<JobFilter, 'state'>): Promise<number> {
  const at = { op: 'retry' }
  checkOptions(filter, PLACE, at)
  checkFilter(services, filter, at)
  let count = 0
  for await (const job of services.queue.jobs({ ...filter, state: 'parked' })) {
    await retryOnConflict(() => unpark(services, job))
    count++
  }
  return count
}

async function unpark({ index, ledger, queue }: Services, job: Job): Promise<void> {
  const now = await index.location(job)
  await ledger.transact((tx) => {
    index.expect(tx, { place: job }, now?.rev ?? null)
    queue.unpark(tx, job)
    if (now?.id === job.id) index.locate(tx, owedAgain(now))
  })
}

function owedAgain({ error: _, ...facts }: LocationFacts): LocationFacts {
  return facts.state === 'failed' || facts.state === 'conflict' ? { ...facts, state: 'pending' } : facts
}

function checkFilter({ backends }: Services, filter: JobFilter, at: ErrorLocation): void {
  if (filter.backend !== undefined) backends.get(filter.backend, at)
  if (filter.key !== undefined) checkName(filter.key, at)
  if (filter.id !== undefined && !isId(filter.id))
    throw new StorageError('INVALID_ARGUMENT', at, { detail: 'id is "sha256:" and 64 lower-case hex digits' })
}
