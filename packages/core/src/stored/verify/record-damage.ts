import type { Stat } from '../../backend/contract.ts'
import { type ErrorLocation, StorageError } from '../../backend/error.ts'
import type { GuardedBackend } from '../../guard/guarded-backend.ts'
import { type Damage, found, type Location, type LocationFacts, type Whole } from '../../model/copy.ts'
import type { Index } from '../../ports/index.ts'
import type { Ledger, View } from '../../ports/ledger.ts'
import { takeMarksBack } from '../backends/tenancy.ts'
import { diagnose, heldBy, type Look } from './diagnose.ts'

type Services = {
  readonly ledger: Ledger
  readonly index: Index
  readonly backends: { isCurrent(view: View, name: string): boolean }
}

const BEGIN_AGAIN = Symbol('begin again')

/** For a read whose copy we ourselves released, overwrote or removed while it ran: it begins again. */
export function overtaken(at: ErrorLocation, cause?: unknown): StorageError {
  return beginningAgain(new StorageError('CONFLICT', at, { cause, detail: 'its copy was replaced while it was read' }))
}

/** For a read of a copy that turned out to be whole: it begins again. */
function misread(cause: StorageError): StorageError {
  const detail = 'its bytes were wrong at the first read and right at the second'
  return beginningAgain(new StorageError(cause.code, cause.at, { cause, detail, retryable: true }))
}

function beginningAgain(error: StorageError): StorageError {
  return Object.defineProperty(error, BEGIN_AGAIN, { value: true })
}

/** Whether the read that failed so may well succeed at once. */
export function mayBeginAgain(error: unknown): boolean {
  return typeof error === 'object' && error !== null && BEGIN_AGAIN in error
}

/** Writes down what a failed read proved about a copy, and throws the failure. */
export async function markDamaged(
  services: Services,
  backend: GuardedBackend,
  location: Location,
  error: unknown,
  signal: AbortSignal,
): Promise<never> {
  const now = await services.ledger.look((view) => services.index.location(view, location))
  if (StorageError.is(error) && error.code !== 'ABORTED' && now?.rev !== location.rev) throw overtaken(error.at, error)
  const proof = await noteDamage(services, backend, location, error, { signal })
  throw proof?.state === 'synced' && StorageError.is(error) ? misread(error) : error
}

/**
 * Looks again at a copy that could not be read, and writes down what is certain, if that is still the copy of its place.
 *
 * @returns What is certain, or `null`. Never rejects.
 */
export async function noteDamage(
  services: Services,
  backend: GuardedBackend,
  location: Location,
  error: unknown,
  look: Look,
): Promise<Damage | Whole | null> {
  try {
    const proof = await diagnose(backend, location, error, look)
    if (proof && isNews(location, proof)) await rewrite(services, location, proof)
    return proof
  } catch (failure) {
    warn(failure)
    return null
  }
}

/** Writes down that a copy was read and is whole, if it is still the copy of its place. @returns What it is then. Never rejects. */
export async function noteWhole(services: Services, location: Location, stat: Stat): Promise<LocationFacts> {
  const proof = { state: 'synced', holds: heldBy(location, stat), verified: Date.now() } as const
  await rewrite(services, location, proof).catch(warn)
  return found(location, proof)
}

/** That it could not be written down must not hide what was found. */
function warn(failure: unknown): void {
  process.emitWarning(failure instanceof Error ? failure : String(failure), { code: 'STORED_DAMAGE' })
}

function isNews({ state, holds }: Location, proof: Damage | Whole): boolean {
  return proof.state !== 'synced' || state !== 'synced' || holds?.etag !== proof.holds.etag
}

/**
 * Changes the row of a place, if it is still as it was before the place was read, and its backend the one that was read. Damage takes back
 * every removal under way, and writes the facts once more: they may have counted on this copy.
 *
 * @returns Whether it was.
 */
export async function rewrite(
  { backends, index, ledger }: Services,
  location: Location,
  proof: Damage | Whole,
): Promise<boolean> {
  const { value } = await ledger.transact((tx) => {
    if (index.location(tx, location)?.rev !== location.rev) return false
    if (!backends.isCurrent(tx, location.backend)) return false
    if (proof.state !== 'synced') {
      takeMarksBack({ index }, tx)
      const facts = index.facts(tx, location.id)
      if (facts) index.keep(tx, facts)
    }
    index.locate(tx, found(location, proof))
    return true
  })
  return value
}
