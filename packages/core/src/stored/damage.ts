import { StorageError } from '../backend/error.ts'
import type { Location, LocationState } from '../ports.ts'
import { retryOnConflict } from '../retry-on-conflict.ts'
import type { Services } from './services.ts'

/** Writes down what a failed read proved about a copy, and throws the failure. */
export async function markDamaged(services: Services, location: Location, error: unknown): Promise<never> {
  const state = await diagnose(services, location, error)
  if (state) await mark(services, location, state, error as StorageError)
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
