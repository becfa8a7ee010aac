import { type ErrorLocation, StorageError } from '../backend/error.ts'
import type { Location, LocationState } from '../ports.ts'
import { retryOnConflict } from '../retry-on-conflict.ts'
import type { Services } from './services.ts'

const OVERTAKEN = Symbol('overtaken')

/** For a read whose copy we ourselves released, overwrote or removed meanwhile: it begins anew. */
export function overtaken(at: ErrorLocation, cause?: unknown): StorageError {
  const error = new StorageError('CONFLICT', at, { cause, detail: 'its copy was replaced while it was read' })
  return Object.defineProperty(error, OVERTAKEN, { value: true })
}

export function isOvertaken(error: unknown): boolean {
  return typeof error === 'object' && error !== null && OVERTAKEN in error
}

/** Writes down what a failed read proved about a copy, and throws the failure. */
export async function markDamaged(services: Services, location: Location, error: unknown): Promise<never> {
  const now = await services.index.location(location)
  if (StorageError.is(error) && error.code !== 'ABORTED' && now?.rev !== location.rev) throw overtaken(error.at, error)
  try {
    const state = await diagnose(services, location, error)
    if (state) await mark(services, location, state, error as StorageError)
  } catch (failure) {
    // That it could not be written down must not hide what was found.
    process.emitWarning(failure instanceof Error ? failure : String(failure), { code: 'STORED_DAMAGE' })
  }
  throw error
}

/** @returns `null` when nothing is certain: an outage says nothing about the bytes. */
async function diagnose(
  { backends }: Services,
  { backend, key, holds }: Location,
  error: unknown,
): Promise<LocationState | null> {
  if (!StorageError.is(error)) return null
  if (error.code === 'NOT_FOUND') return 'missing'
  if (error.code !== 'CHECKSUM_MISMATCH' && error.code !== 'SIZE_MISMATCH') return null
  const configured = backends.get(backend, error.at)
  const stat = await configured.backend.stat(key).catch(() => undefined) // It was reached a moment ago; if not now, the etag stays unknown.
  if (stat === undefined) return null
  if (stat === null) return 'missing'
  // Still what we wrote, by its etag: the medium lost it. Otherwise somebody edited it.
  return stat.etag === holds?.etag ? 'corrupt' : 'unknown'
}

async function mark(
  { index, ledger }: Services,
  location: Location,
  state: LocationState,
  error: StorageError,
): Promise<void> {
  await retryOnConflict(async () => {
    const now = await index.location(location)
    if (!now || now.id !== location.id || now.state !== 'synced') return
    const { rev, ...facts } = now
    await ledger.transact((tx) => {
      index.expect(tx, { place: location }, rev)
      index.locate(tx, { ...facts, state, error: { code: error.code, message: error.message } })
    })
  })
}
