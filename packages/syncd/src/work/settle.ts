import type { Claimed, Failure, Location, LocationFacts, Logged, SyncOutcome } from '@stored/core'
import { isWanted, owedAgain, parked, retryOnConflict } from '@stored/core'
import type { StorageError } from '@stored/core/backend'
import type { Services } from './services.ts'

/** What a job that ended leaves at its place, given what the place is now; `null`: nothing. */
export type Ending = (now: Location) => LocationFacts | null

/** Completes `job` with what became of its place; drops staged bytes that nothing owes any more. */
export async function settle(
  { index, ledger, queue, staging }: Services,
  job: Claimed,
  ending: Ending,
): Promise<Logged<SyncOutcome> | null> {
  return retryOnConflict(async () => {
    const others = { id: job.id, standing: 'owing', except: [{ backend: job.backend, key: job.key }] } as const
    const [now, isOwed] = await Promise.all([index.location(job), index.hasPlace(others)])
    const isDone = isWanted(now, job)
    const event: SyncOutcome = { type: 'sync:complete', ...progress(job), op: job.op }
    const { position, seq } = await ledger.transact((tx) => {
      index.expect(tx, { place: job }, now?.rev ?? null)
      index.expectPlace(tx, others, isOwed)
      queue.complete(tx, job)
      const row = now && ending(now)
      if (row) index.locate(tx, row)
      else if (now) index.unlocate(tx, job)
      if (job.op === 'put' && !isOwed) staging.release(tx, job.id)
      else if (job.op === 'put' && isDone) staging.markReleasable(tx, job.id)
      if (isDone) ledger.record(tx, event)
    })
    return isDone ? { ...event, position, seq } : null
  })
}

/**
 * Ends a job that nobody wants any more, or that a newer one will do again: what it failed with does not matter.
 *
 * @returns Whether it was one.
 */
export async function dropIfUnwanted({ index, ledger, queue }: Services, job: Claimed): Promise<boolean> {
  return retryOnConflict(async () => {
    const now = await index.location(job)
    const { value } = await ledger.transact((tx) => {
      index.expect(tx, { place: job }, now?.rev ?? null)
      if (isWanted(now, job) && !queue.isOvertaken(tx, job)) return false
      queue.complete(tx, job)
      return true
    })
    return value
  })
}

/**
 * Keeps the job with its error, and says so at its place.
 *
 * @returns The event of the commit, or `null` when nobody wanted the job any more: it is gone.
 */
export async function parkJob(
  services: Services,
  job: Claimed,
  error: StorageError,
  o: { retrialAfterMs?: number } = {},
): Promise<Logged<SyncOutcome> | null> {
  const { index, queue, ledger } = services
  return retryOnConflict(async () => {
    const now = await index.location(job)
    const event: SyncOutcome = { type: 'sync:error', ...progress(job), op: job.op, error: failureOf(error) }
    const {
      value: isParked,
      position,
      seq,
    } = await ledger.transact((tx) => {
      index.expect(tx, { place: job }, now?.rev ?? null)
      if (!isWanted(now, job) || queue.isOvertaken(tx, job)) {
        queue.complete(tx, job)
        return false
      }
      queue.park(tx, job, error, o)
      index.locate(tx, parked(now, error))
      ledger.record(tx, event)
      return true
    })
    return isParked ? { ...event, position, seq } : null
  })
}

/** Lets the place of a job that was parked be owed again: it is tried once more. */
export async function oweAgain({ index, ledger }: Services, job: Claimed): Promise<void> {
  await retryOnConflict(async () => {
    const now = await index.location(job)
    if (!isWanted(now, job)) return
    await ledger.transact((tx) => {
      index.expect(tx, { place: job }, (now as Location).rev)
      index.locate(tx, owedAgain(now))
    })
  })
}

/** What all events of a job tell. */
export function progress({ id, backend, key }: Claimed) {
  return { checksum: id, backend, key, time: Date.now() }
}

export function failureOf({ code, message }: StorageError): Failure {
  return { code, message }
}
