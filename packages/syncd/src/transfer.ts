import type {
  Claimed,
  Index,
  Ledger,
  Location,
  LocationFacts,
  Queue,
  Staging,
  SyncTarget,
  Transaction,
} from '@stored/core'
import { owes, retryOnConflict } from '@stored/core'
import type { StorageError } from '@stored/core/backend'
import { openCopy } from './copies.ts'
import { isTaken, removeCopy, writeCopy } from './place.ts'

export interface Services {
  readonly ledger: Ledger
  readonly index: Index
  readonly queue: Queue
  readonly staging: Staging
  target(backend: string): SyncTarget | undefined
}

/** Does one job: moves the bytes and settles job and place in one commit. @returns The commit, or `null` when there was nothing to do. */
export async function runJob(
  services: Services,
  target: SyncTarget,
  job: Claimed,
  { signal, moved }: { signal: AbortSignal; moved: () => void },
): Promise<number | null> {
  const location = await services.index.location(job)
  if (!location || !isCurrent(job, location) || location.state === 'synced') {
    await services.ledger.transact((tx) => services.queue.complete(tx, job))
    return null
  }
  // What the backend can do is certain only once it is open.
  await target.backend.open({ signal })
  if (job.op === 'delete') {
    await removeCopy(target.backend, location, signal)
    moved()
    return settle(services, job, (tx, now) => {
      if (!now) return
      if (isCurrent(job, now)) return services.index.unlocate(tx, job)
      // Wanted again meanwhile: the job behind this one has to know that nothing lies there now.
      const { holds: _, tried: __, ...rest } = factsOf(now)
      services.index.locate(tx, rest)
    })
  }
  const stat = await writeCopy(() => openCopy(services, job, signal), target, job, location, signal)
  moved()
  const holds = { id: job.id, ...(stat.etag !== undefined && { etag: stat.etag }) }
  return settle(services, job, (tx, now) => {
    if (!now) return
    // Bound anew meanwhile: what lies there is ours all the same, and the job behind this one has to know.
    if (!isCurrent(job, now)) {
      const { tried: _, ...rest } = factsOf(now)
      return services.index.locate(tx, { ...rest, holds })
    }
    const { tried: _, error: __, ...rest } = factsOf(now)
    services.index.locate(tx, { ...rest, state: 'synced', holds, verified: Date.now() })
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
    // Whatever queues a newer job also changes the row of the place: the guard covers both.
    if (now && isCurrent(job, now) && !(await queue.isOvertaken(job))) return false
    await ledger.transact((tx) => {
      index.expect(tx, { place: job }, now?.rev ?? null)
      queue.complete(tx, job)
    })
    return true
  })
}

/** Keeps the job with its error, and says so at its place. */
export async function parkJob(services: Services, job: Claimed, error: StorageError): Promise<number> {
  const { index, queue, ledger } = services
  return retryOnConflict(async () => {
    const now = await index.location(job)
    const { seq } = await ledger.transact((tx) => {
      index.expect(tx, { place: job }, now?.rev ?? null)
      queue.park(tx, job, error)
      if (now && isCurrent(job, now)) index.locate(tx, { ...factsOf(now), ...failed(job, error) })
    })
    return seq
  })
}

/** Completes `job` with what became of its place; drops staged bytes that nothing owes any more. */
async function settle(
  { index, ledger, queue, staging }: Services,
  job: Claimed,
  change: (tx: Transaction, now: Location | null) => void,
): Promise<number> {
  return retryOnConflict(async () => {
    const [now, known] = await Promise.all([index.location(job), index.known(job.id)])
    const owed = known?.locations.some((other) => owes(other) && !isAt(other, job))
    const { seq } = await ledger.transact((tx) => {
      index.expect(tx, { place: job }, now?.rev ?? null)
      index.expect(tx, { id: job.id }, known?.rev ?? null)
      queue.complete(tx, job)
      change(tx, now)
      if (job.op === 'put' && !owed) staging.release(tx, job.id)
    })
    return seq
  })
}

/** Whether the place still wants what the job brings. */
function isCurrent(job: Claimed, { id, state }: Location): boolean {
  return id === job.id && (job.op === 'delete') === (state === 'deleting')
}

function isAt(location: Location, { backend, key }: Claimed): boolean {
  return location.backend === backend && location.key === key
}

function factsOf({ rev: _, ...facts }: Location): LocationFacts {
  return facts
}

function failed(job: Claimed, error: StorageError): Pick<LocationFacts, 'state' | 'error'> {
  const failure = { code: error.code, message: error.message }
  if (job.op === 'delete') return { state: 'deleting', error: failure }
  return { state: isTaken(error) ? 'conflict' : 'failed', error: failure }
}
