import { createHash } from 'node:crypto'
import type { BlobId, Claimed, GuardedBackend, Location, SyncTarget } from '@stored/core'
import { type Stat, StorageError } from '@stored/core/backend'

/** Reads of bytes of the right size before they count as somebody else's, if all find the same. */
const MAX_READS = 3

/** A blob that lies at a key. */
interface Identified {
  readonly stat: Stat
  readonly id: BlobId
  /** By the backend's own word: nothing was read. */
  readonly isNative: boolean
}

/** A put job, and the copy that it is for. */
export interface Task {
  readonly job: Claimed
  readonly location: Location
  readonly signal: AbortSignal
}

/** Under which a put may write. */
export interface Conditions {
  readonly ifAbsent?: true
  readonly ifMatch?: string
}

/**
 * How a put comes to its place, and never over what is not ours: under which conditions, or not at all, since what lies there is the
 * blob already (`stat`).
 *
 * @param taken What the last put failed with: something lies there.
 * @throws {StorageError} ALREADY_EXISTS, PRECONDITION_FAILED: StoreD did not write what lies there.
 */
export async function wayTo(
  target: SyncTarget,
  task: Task,
  taken?: StorageError,
): Promise<{ readonly stat: Stat } | { readonly conditions: Conditions }> {
  if (taken) return overrule(taken, target.backend, task)
  if (target.overwrite) return { conditions: {} }
  try {
    return { conditions: await conditionsFor(target.backend, task.location, task.signal) }
  } catch (error) {
    if (!isTaken(error)) throw error
    return overrule(error, target.backend, task)
  }
}

async function overrule(error: StorageError, backend: GuardedBackend, { job, location, signal }: Task) {
  const found = await identify(backend, job, signal)
  if (!found) return { conditions: backend.capabilities.ifAbsent ? ({ ifAbsent: true } as const) : {} }
  // Written by a try of ours that crashed before its commit, or copied there by someone: it is the copy that was owed.
  if (found.id === job.id) return { stat: found.stat }
  if (!isOurs(found.id, location)) throw error
  return { conditions: unchanged(backend, found.stat) }
}

/**
 * Removes the copy that a place held. What StoreD did not write there stays.
 *
 * @throws {StorageError} PRECONDITION_FAILED: somebody changed what StoreD wrote.
 */
export async function removeCopy(
  backend: GuardedBackend,
  job: Claimed,
  location: Location,
  signal: AbortSignal,
): Promise<void> {
  const { key, holds } = location
  const stat = await backend.stat(key, { signal }).catch((error: unknown) => {
    // What the medium never took cannot lie there. What it once confirmed may, behind other options of its driver.
    if (!holds && StorageError.is(error) && error.code === 'INVALID_KEY') return null
    throw error
  })
  if (!stat) return
  if (holds?.etag !== undefined && holds.etag === stat.etag)
    return backend.delete(key, { ...unchanged(backend, stat), signal })
  const found = await identify(backend, job, signal)
  if (!found) return
  if (isOurs(found.id, location)) return backend.delete(key, { ...unchanged(backend, found.stat), signal })
  if (holds) throw changed(backend, 'delete', key)
}

/** Whether an error says that something else lies at the place. */
export function isTaken(error: unknown): error is StorageError {
  return StorageError.is(error) && (error.code === 'ALREADY_EXISTS' || error.code === 'PRECONDITION_FAILED')
}

/** A first write must find nothing; a later one what the last one left. */
async function conditionsFor(
  backend: GuardedBackend,
  { key, holds }: Location,
  signal: AbortSignal,
): Promise<Conditions> {
  const { ifAbsent, ifMatch } = backend.capabilities
  if (!holds) {
    if (ifAbsent) return { ifAbsent: true }
    if (await backend.stat(key, { signal }))
      throw new StorageError('ALREADY_EXISTS', { backend: backend.name, op: 'put', key })
    return {}
  }
  // Nothing tells what we left from what somebody else did, but the bytes.
  if (holds.etag === undefined) throw changed(backend, 'put', key)
  if (ifMatch) return { ifMatch: holds.etag }
  const stat = await backend.stat(key, { signal })
  if (stat && stat.etag !== holds.etag) throw changed(backend, 'put', key)
  return {}
}

/** The condition that a blob is still what was just seen, where the backend can decide that. */
function unchanged(backend: GuardedBackend, { etag }: Stat): Conditions {
  return backend.capabilities.ifMatch && etag !== undefined ? { ifMatch: etag } : {}
}

/** Whether it is a blob that StoreD wrote at this place before, or may have. */
function isOurs(id: BlobId, { holds, tried = [] }: Location): boolean {
  return id === holds?.id || tried.includes(id)
}

/**
 * Which blob lies at the key of a job. A read may go wrong: what has the size of the job's blob is another one only when three reads,
 * each over a connection of its own, find the same.
 *
 * @throws {StorageError} UNAVAILABLE: each read found something else.
 */
async function identify(
  backend: GuardedBackend,
  { op, key, id, size }: Claimed,
  signal: AbortSignal,
): Promise<Identified | null> {
  const ids = new Set<BlobId>()
  for (let reads = 1; ; reads++) {
    const found = await look(backend, key, signal)
    // A delete does not know the size of what it is to remove.
    const isAnother = op === 'put' && found?.stat.size !== size
    if (found === null || found.isNative || found.id === id || isAnother) return found
    ids.add(found.id)
    if (reads === MAX_READS && ids.size === 1) return found
    if (reads === MAX_READS) break
    await backend.reconnect({ signal })
  }
  throw new StorageError('UNAVAILABLE', { backend: backend.name, op, key }, { detail: 'each read finds other bytes' })
}

/** Which blob lies at a key: by the backend's own checksum, else by reading it. */
async function look(backend: GuardedBackend, key: string, signal: AbortSignal): Promise<Identified | null> {
  try {
    const known = await backend.stat(key, { signal })
    if (!known) return null
    const native = known.checksums?.sha256
    if (native !== undefined) return { stat: known, id: `sha256:${native}`, isNative: true }
    const { stat, body } = await backend.get(key, { signal })
    const hash = createHash('sha256')
    for await (const chunk of body) hash.update(chunk)
    return { stat, id: `sha256:${hash.digest('hex')}`, isNative: false }
  } catch (error) {
    if (StorageError.is(error) && error.code === 'NOT_FOUND') return null
    throw error
  }
}

function changed(backend: GuardedBackend, op: string, key: string): StorageError {
  return new StorageError('PRECONDITION_FAILED', { backend: backend.name, op, key }, { detail: 'somebody changed it' })
}
