import type { Claimed, Location, LocationFacts, Logged, SyncOutcome, SyncTarget, Transaction } from '@stored/core'
import { isCurrent, isWanted, owedAgain, parked } from '@stored/core'
import type { StorageError } from '@stored/core/backend'
import { failureOf } from '../queue/job-rows.ts'
import type { Services } from './services.ts'

/** What a finished job leaves at its place, given the current place; `null`: nothing. */
export type Ending = (now: Location) => LocationFacts | null

/** Completes `job` with the outcome at its place, and drops staged bytes that are no longer needed. */
export async function settle(
  services: Services,
  target: SyncTarget,
  job: Claimed,
  ending: Ending,
): Promise<Logged<SyncOutcome> | null> {
  const event: SyncOutcome = { type: 'sync:complete', ...progress(job), op: job.op }
  return recorded(services, event, (tx) => {
    const { index, queue } = services
    if (isRemoved(services, tx, target, job)) return false
    const now = index.location(tx, job)
    queue.complete(tx, job)
    // The removal of the backend did not count this copy.
    if (job.op === 'put' && index.tenure(tx, job.backend).leaving) index.setLeaving(tx, job.backend, null)
    const row = now && ending(now)
    if (row) index.locate(tx, row)
    else if (now) index.unlocate(tx, job)
    const isDone = isWanted(now, job)
    if (job.op === 'put') spare(services, tx, job, isDone)
    return isDone
  })
}

/** The work was done at a backend that is gone: the job waits for the one that has its name now. */
function isRemoved(services: Services, tx: Transaction, { generation }: SyncTarget, job: Claimed): boolean {
  if (isCurrent(services, tx, job.backend, generation)) return false
  services.queue.retry(tx, job, { afterMs: 0, free: true })
  return true
}

/** One copy fewer is needed. */
function spare({ index, staging }: Services, tx: Transaction, { id }: Claimed, isDone: boolean): void {
  if (!index.hasPlace(tx, { id, standing: 'owing' })) staging.release(tx, id)
  else if (isDone) staging.markReleasable(tx, id)
}

/**
 * Ends a job that is no longer wanted, or that a newer one will redo: its error does not matter.
 *
 * @returns Whether it was one.
 */
export async function dropIfUnwanted({ index, ledger, queue }: Services, job: Claimed): Promise<boolean> {
  const { value } = await ledger.transact((tx) => {
    if (isWanted(index.location(tx, job), job) && !queue.isOvertaken(tx, job)) return false
    queue.complete(tx, job)
    return true
  })
  return value
}

/**
 * Keeps the job with its error, and records that at its place.
 *
 * @returns The event of the commit, or `null` if the job was no longer wanted: it is gone.
 */
export async function parkJob(
  services: Services,
  target: SyncTarget,
  job: Claimed,
  error: StorageError,
  o: { retrialAfterMs?: number } = {},
): Promise<Logged<SyncOutcome> | null> {
  const { index, queue } = services
  const event: SyncOutcome = { type: 'sync:error', ...progress(job), op: job.op, error: failureOf(error) }
  return recorded(services, event, (tx) => {
    if (isRemoved(services, tx, target, job)) return false
    const now = index.location(tx, job)
    if (!isWanted(now, job) || queue.isOvertaken(tx, job)) {
      queue.complete(tx, job)
      return false
    }
    queue.park(tx, job, error, o)
    index.locate(tx, parked(now, error))
    return true
  })
}

/** Makes the place of a parked job pending again: it is tried once more. */
export async function oweAgain({ index, ledger }: Services, job: Claimed): Promise<void> {
  await ledger.transact((tx) => {
    const now = index.location(tx, job)
    if (isWanted(now, job)) index.locate(tx, owedAgain(now))
  })
}

/** Runs a plan that returns whether its event happened, and records that in the same commit. */
async function recorded(
  { ledger }: Services,
  event: SyncOutcome,
  plan: (tx: Transaction) => boolean,
): Promise<Logged<SyncOutcome> | null> {
  const { value, position, seq } = await ledger.transact((tx) => {
    const happened = plan(tx)
    if (happened) ledger.record(tx, event)
    return happened
  })
  return value ? { ...event, position, seq } : null
}

/** What all events of a job contain. */
export function progress({ id, backend, key }: Claimed) {
  return { checksum: id, backend, key, time: Date.now() }
}
