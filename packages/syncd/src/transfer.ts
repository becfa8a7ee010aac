import type {
  Claimed,
  GuardedBackend,
  Index,
  Ledger,
  Location,
  LocationFacts,
  Queue,
  Staging,
  SyncTarget,
  Transaction,
} from '@stored/core'
import { retryOnConflict } from '@stored/core'
import { type Stat, StorageError } from '@stored/core/backend'
import { openCopy } from './copies.ts'

export interface Services {
  readonly ledger: Ledger
  readonly index: Index
  readonly queue: Queue
  readonly staging: Staging
  target(backend: string): SyncTarget | undefined
}

/** States in which a place still owes the bytes: what is staged for it must stay. */
const OWED: ReadonlySet<Location['state']> = new Set<Location['state']>(['pending', 'failed', 'conflict'])

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
      const { holds: _, ...rest } = factsOf(now)
      services.index.locate(tx, rest)
    })
  }
  const stat = await writeCopy(services, target, job, location, signal)
  moved()
  const holds = { id: job.id, ...(stat.etag !== undefined && { etag: stat.etag }) }
  return settle(services, job, (tx, now) => {
    if (!now) return
    // Bound anew meanwhile: what lies there is ours all the same, and the job behind this one has to know.
    if (!isCurrent(job, now)) return services.index.locate(tx, { ...factsOf(now), holds })
    services.index.locate(tx, {
      backend: job.backend,
      key: job.key,
      id: job.id,
      state: 'synced',
      holds,
      verified: Date.now(),
    })
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
    const owed = known?.locations.some((other) => OWED.has(other.state) && !isAt(other, job))
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

async function writeCopy(
  services: Services,
  { backend, overwrite }: SyncTarget,
  job: Claimed,
  location: Location,
  signal: AbortSignal,
): Promise<Stat> {
  const write = async (conditions: { ifAbsent?: true; ifMatch?: string }) => {
    await using copy = await openCopy(services, job, signal)
    // Through the guard, which hashes on the way: a staged file that went bad must not count as synced.
    const sha256 = job.id.slice('sha256:'.length)
    return await backend.put(job.key, copy.body, { size: job.size, sha256, ...conditions, signal })
  }
  try {
    return await write(overwrite ? {} : await conditionsFor(backend, location, signal))
  } catch (error) {
    if (!StorageError.is(error) || !isTaken(error)) throw error
    const found = await compare(backend, location, signal)
    if (found === 'different') throw error
    // Written by a try of ours that crashed before its commit, or copied there by someone: it is the copy that was owed.
    return found === 'absent' ? await write(backend.capabilities.ifAbsent ? { ifAbsent: true } : {}) : found
  }
}

/** A first write must find nothing; a later one what the last one left. */
async function conditionsFor(
  backend: GuardedBackend,
  { key, holds }: Location,
  signal: AbortSignal,
): Promise<{ ifAbsent?: true; ifMatch?: string }> {
  const { ifAbsent, ifMatch } = backend.capabilities
  const at = { backend: backend.name, op: 'put', key }
  if (!holds) {
    if (ifAbsent) return { ifAbsent: true }
    if (await backend.stat(key, { signal })) throw new StorageError('ALREADY_EXISTS', at)
    return {}
  }
  if (holds.etag === undefined) return {}
  if (ifMatch) return { ifMatch: holds.etag }
  const stat = await backend.stat(key, { signal })
  if (stat && stat.etag !== holds.etag)
    throw new StorageError('PRECONDITION_FAILED', at, { detail: 'somebody changed it' })
  return {}
}

async function removeCopy(backend: GuardedBackend, location: Location, signal: AbortSignal): Promise<void> {
  const { key, holds } = location
  // Never confirmed: a try may have landed before a crash. What is not our blob is not ours to delete.
  if (!holds && typeof (await compare(backend, location, signal)) === 'string') return
  if (holds?.etag === undefined) return backend.delete(key, { signal })
  if (backend.capabilities.ifMatch) return backend.delete(key, { ifMatch: holds.etag, signal })
  const stat = await backend.stat(key, { signal })
  if (!stat) return
  if (stat.etag !== holds.etag)
    throw new StorageError(
      'PRECONDITION_FAILED',
      { backend: backend.name, op: 'delete', key },
      { detail: 'somebody changed it' },
    )
  await backend.delete(key, { signal })
}

/** Whether the blob that belongs to a place lies there: by the backend's own checksum, else by reading it. */
async function compare(
  backend: GuardedBackend,
  { key, id }: Location,
  signal: AbortSignal,
): Promise<Stat | 'absent' | 'different'> {
  const sha256 = id.slice('sha256:'.length)
  const stat = await backend.stat(key, { signal })
  if (!stat) return 'absent'
  if (stat.checksums?.sha256 !== undefined) return stat.checksums.sha256 === sha256 ? stat : 'different'
  try {
    const { stat: read, body } = await backend.get(key, { sha256, signal })
    for await (const _ of body);
    return read
  } catch (error) {
    if (!StorageError.is(error)) throw error
    if (error.code === 'NOT_FOUND') return 'absent'
    if (error.code === 'CHECKSUM_MISMATCH') return 'different'
    throw error
  }
}

function isTaken({ code }: StorageError): boolean {
  return code === 'ALREADY_EXISTS' || code === 'PRECONDITION_FAILED'
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
