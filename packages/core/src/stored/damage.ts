import type { Stat } from '../backend/contract.ts'
import { type ErrorLocation, StorageError, type StorageErrorCode } from '../backend/error.ts'
import type { GuardedBackend } from '../guard/guarded-backend.ts'
import type { Failure, Index, Ledger, Location, LocationFacts } from '../ports.ts'

type Services = { readonly ledger: Ledger; readonly index: Index }

const OVERTAKEN = Symbol('overtaken')
/** Failures of a read that say something about the bytes. All others are of the way there. */
const SAYS_SOMETHING: ReadonlySet<StorageErrorCode> = new Set(['NOT_FOUND', 'CHECKSUM_MISMATCH', 'SIZE_MISMATCH'])

/** For a read whose copy we ourselves released, overwrote or removed meanwhile: it begins anew. */
export function overtaken(at: ErrorLocation, cause?: unknown): StorageError {
  const error = new StorageError('CONFLICT', at, { cause, detail: 'its copy was replaced while it was read' })
  return Object.defineProperty(error, OVERTAKEN, { value: true })
}

export function isOvertaken(error: unknown): boolean {
  return typeof error === 'object' && error !== null && OVERTAKEN in error
}

/** Writes down what a failed read proved about a copy, and throws the failure. */
export async function markDamaged(
  services: Services,
  backend: GuardedBackend,
  location: Location,
  error: unknown,
): Promise<never> {
  const now = await services.index.location(location)
  if (StorageError.is(error) && error.code !== 'ABORTED' && now?.rev !== location.rev) throw overtaken(error.at, error)
  await noteDamage(services, backend, location, error)
  throw error
}

/** Writes down what a failed read proved about a copy, if anything, and if that is still the copy of its place. Never rejects. */
export async function noteDamage(
  services: Services,
  backend: GuardedBackend,
  location: Location,
  error: unknown,
): Promise<void> {
  try {
    const damage = await diagnose(backend, location, error)
    if (damage) await rewrite(services, location, damage)
  } catch (failure) {
    // That it could not be written down must not hide what was found.
    process.emitWarning(failure instanceof Error ? failure : String(failure), { code: 'STORED_DAMAGE' })
  }
}

/** What is certain of a copy that could not be read as what it should be. */
export interface Damage {
  readonly state: 'missing' | 'corrupt' | 'unknown'
  readonly error: Failure
}

/**
 * Tells a copy that is damaged or gone from one that could only not be reached.
 *
 * @param read What the backend said of the bytes that were read, where it did.
 * @returns `null` when nothing is certain: an outage, a refusal, a root that is not there say nothing about the bytes.
 */
export async function diagnose(
  backend: GuardedBackend,
  { key, holds }: Location,
  error: unknown,
  read?: Stat,
): Promise<Damage | null> {
  if (!StorageError.is(error) || !SAYS_SOMETHING.has(error.code)) return null
  const failure = { code: error.code, message: error.message }
  // It was reached a moment ago; if not now, neither the absence nor the etag is certain.
  const stat = await backend.stat(key).catch(() => undefined)
  if (stat === undefined) return null
  if (stat === null) return { state: 'missing', error: failure }
  if (error.code === 'NOT_FOUND') return null
  // Still what we wrote, by its etag: the medium lost it. Otherwise somebody edited it.
  const { etag } = read ?? stat
  return { state: etag !== undefined && etag === holds?.etag ? 'corrupt' : 'unknown', error: failure }
}

/** Changes the row of a place, if it is still as it was before the place was read. @returns Whether it was. */
export async function rewrite(
  { index, ledger }: Services,
  { rev, error: _, ...facts }: Location,
  changes: Partial<LocationFacts>,
): Promise<boolean> {
  try {
    await ledger.transact((tx) => {
      index.expect(tx, { place: facts }, rev)
      index.locate(tx, { ...facts, ...changes })
    })
    return true
  } catch (error) {
    if (StorageError.is(error) && error.code === 'CONFLICT') return false
    throw error
  }
}
