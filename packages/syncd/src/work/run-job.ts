import type { Claimed, Location, Logged, SyncOutcome, SyncTarget } from '@stored/core'
import { isWanted, removed, written } from '@stored/core'
import { removeCopy } from './place.ts'
import type { Services } from './services.ts'
import { type Ending, settle } from './settle.ts'
import { transfer } from './transfer.ts'

/**
 * Runs one job: moves the bytes, and settles job and place in one commit.
 *
 * @param moved Called when the backend is done with it.
 * @returns The event of the commit, or `null` if the copy was no longer wanted.
 */
export async function runJob(
  services: Services,
  target: SyncTarget,
  job: Claimed,
  { signal, moved }: { signal: AbortSignal; moved: () => void },
): Promise<Logged<SyncOutcome> | null> {
  const location = await services.ledger.look((view) => services.index.location(view, job))
  if (!location || !isWanted(location, job)) {
    await services.ledger.transact((tx) => services.queue.complete(tx, job))
    return null
  }
  // A backend's capabilities are final only once it is open.
  await target.backend.open({ signal })
  const ending =
    job.op === 'put' ? await put(services, target, job, location, signal) : await remove(target, job, location, signal)
  moved()
  return settle(services, target, job, ending)
}

async function put(
  services: Services,
  target: SyncTarget,
  job: Claimed,
  location: Location,
  signal: AbortSignal,
): Promise<Ending> {
  const { etag } = await transfer(services, target, { job, location, signal })
  const verified = Date.now()
  return (now) => written(now, job, { etag, verified })
}

async function remove({ backend }: SyncTarget, job: Claimed, location: Location, signal: AbortSignal): Promise<Ending> {
  await removeCopy(backend, job, location, signal)
  return (now) => removed(now, job)
}
