import { createHash } from 'node:crypto'
import type { BlobId, Claimed, GuardedBackend, Location, SyncTarget } from '@stored/core'
import { type Stat, StorageError } from '@stored/core/backend'

/** Reads of bytes of the right size before they count as someone else's, if all find the same. */
const MAX_READS = 3

/** The blob at a key. */
interface Identified {
  readonly stat: Stat
  readonly id: BlobId
  /** Reported by the backend: nothing was read. */
  readonly isNative: boolean
}

/** A put job, and the copy that it is for. */
export interface Task {
  readonly job: Claimed
  readonly location: Location
  readonly signal: AbortSignal
}

/** The conditions under which a put may write. */
export interface Conditions {
  readonly ifAbsent?: true
  readonly ifMatch?: string
}

/**
 * How a put may write its place without overwriting what is not ours: the conditions, or `stat` if the blob is already
 * there.
 *
 * @param taken The error of the last put: something is there.
 * @throws {StorageError} ALREADY_EXISTS, PRECONDITION_FAILED: StoreD did not write what is there.
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
  // Written by an earlier try that crashed before its commit, or copied there by someone: it is the wanted copy.
  if (found.id === job.id) return { stat: found.stat }
  if (!isOurs(found.id, location)) throw error
  return { conditions: unchanged(backend, found.stat) }
}

/**
 * Removes the copy at a place. What StoreD did not write there stays.
 *
 * @throws {StorageError} PRECONDITION_FAILED: someone changed what StoreD wrote.
 */
export async function removeCopy(
  backend: GuardedBackend,
  job: Claimed,
  location: Location,
  signal: AbortSignal,
): Promise<void> {
  const { key, holds } = location
  const stat = await backend.stat(key, { signal }).catch((error: unknown) => {
    // What the medium refuses cannot be there. What it once confirmed may be, under other driver options.
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

/** Whether an error says that something else is at the place. */
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
  // Only the bytes tell our object from someone else's.
  if (holds.etag === undefined) throw changed(backend, 'put', key)
  if (ifMatch) return { ifMatch: holds.etag }
  const stat = await backend.stat(key, { signal })
  if (stat && stat.etag !== holds.etag) throw changed(backend, 'put', key)
  return {}
}

/** The condition that a blob is still what was just seen, if the backend supports it. */
function unchanged(backend: GuardedBackend, { etag }: Stat): Conditions {
  return backend.capabilities.ifMatch && etag !== undefined ? { ifMatch: etag } : {}
}

/** Whether it is a blob that StoreD wrote at this place earlier, or may have. */
function isOurs(id: BlobId, { holds, tried = [] }: Location): boolean {
  return id === holds?.id || tried.includes(id)
}

/**
 * Which blob is at the key of a job. A read may go wrong: something with the size of the job's blob counts as another
 * blob only if three reads, each over a new connection, find the same.
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
    // A delete does not know the size of what it removes.
    const isAnother = op === 'put' && found?.stat.size !== size
    if (found === null || found.isNative || found.id === id || isAnother) return found
    ids.add(found.id)
    if (reads === MAX_READS && ids.size === 1) return found
    if (reads === MAX_READS) break
    await backend.reconnect({ signal })
  }
  throw new StorageError('UNAVAILABLE', { backend: backend.name, op, key }, { detail: 'each read finds other bytes' })
}

/** Which blob is at a key: by the backend's own checksum, else by reading it. */
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
