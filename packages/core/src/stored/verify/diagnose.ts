import type { Stat } from '../../backend/contract.ts'
import { StorageError, type StorageErrorCode } from '../../backend/error.ts'
import type { GuardedBackend } from '../../guard/guarded-backend.ts'
import type { Damage, Held, Location, Whole } from '../../model/copy.ts'
import { hexOf } from '../lookup/names.ts'

/** Failures of a read that say something about the bytes. All others are about the way to them. */
const SAYS_SOMETHING: ReadonlySet<StorageErrorCode> = new Set([
  'NOT_FOUND',
  'CHECKSUM_MISMATCH',
  'SIZE_MISMATCH',
  'CORRUPT',
])
/** Reads of one copy, the one that failed included, before nothing is said about it. */
const MAX_READS = 3

/** How a copy is looked at again. */
export interface Look {
  readonly signal: AbortSignal
  /** Called with the size of each chunk that was read, and waited for. */
  readonly passed?: (bytes: number) => Promise<void>
}

/**
 * Looks again at a copy that could not be read as what it should be, before anything is believed: a cable, a proxy or a memory
 * chip may have been at fault. Damage is what is found twice alike; bytes that differ with each read are no property of a copy.
 *
 * @param error What the read failed with.
 * @returns `null` when nothing is certain: an outage, a refusal, a root that is not there say nothing about the bytes.
 */
export async function diagnose(
  backend: GuardedBackend,
  location: Location,
  error: unknown,
  look: Look,
): Promise<Damage | Whole | null> {
  if (!isAboutTheBytes(error)) return null
  try {
    return await lookAgain(backend, location, error, look)
  } catch (failure) {
    // It was reached a moment ago. If it is not now, neither its absence nor its bytes are certain.
    if (StorageError.is(failure)) return null
    throw failure
  }
}

function isAboutTheBytes(error: unknown): error is StorageError {
  return StorageError.is(error) && SAYS_SOMETHING.has(error.code)
}

async function lookAgain(
  backend: GuardedBackend,
  location: Location,
  error: StorageError,
  look: Look,
): Promise<Damage | Whole | null> {
  let before = error
  for (let reads = 1; reads < MAX_READS; reads++) {
    await backend.reconnect({ signal: look.signal })
    const found = await readAgain(backend, location, look)
    if (!('error' in found)) return { state: 'synced', holds: heldBy(location, found.stat), verified: Date.now() }
    if (isSame(before, found.error)) return damageOf(location, found.error, found.stat)
    before = found.error
  }
  return null
}

/** @throws {StorageError} What says nothing about the bytes. */
async function readAgain(
  backend: GuardedBackend,
  { key, id }: Location,
  { signal, passed }: Look,
): Promise<{ stat: Stat } | { stat: Stat | null; error: StorageError }> {
  let opened: Stat | undefined
  try {
    const { stat, body } = await backend.get(key, { sha256: hexOf(id), signal })
    opened = stat
    for await (const chunk of body) await passed?.(chunk.length)
    return { stat }
  } catch (error) {
    if (!isAboutTheBytes(error)) throw error
    const stat = await backend.stat(key, { signal })
    // A read that finds nothing where something lies says nothing.
    if (error.code === 'NOT_FOUND' && stat !== null) throw error
    return { stat: stat && (opened ?? stat), error }
  }
}

/** Whether two reads found the same: nothing, or bytes of the same size and digest, which the message names. */
function isSame(before: StorageError, now: StorageError): boolean {
  return before.code === now.code && (now.code === 'NOT_FOUND' || before.message === now.message)
}

function damageOf({ holds }: Location, { code, message }: StorageError, stat: Stat | null): Damage {
  const error = { code, message }
  if (stat === null) return { state: 'missing', error }
  // Still what we wrote, by its etag: the medium lost it. Otherwise somebody edited it.
  return { state: stat.etag !== undefined && stat.etag === holds?.etag ? 'corrupt' : 'unknown', error }
}

/** What a copy that was read whole is known to be. */
export function heldBy({ id }: Pick<Location, 'id'>, { etag }: Stat): Held {
  return { id, ...(etag !== undefined && { etag }) }
}
