import type { BackendInfo, StoreD } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import { usage } from '../errors/fault.ts'

/** The backend that a command names. @throws {Fault} USAGE: there is none of that name. */
export async function knownBackend(store: StoreD, name: string): Promise<BackendInfo> {
  try {
    return await store.getBackend(name)
  } catch (error) {
    // Told as the mistake in the line that it is, without the method that found it.
    if (StorageError.is(error) && error.code === 'INVALID_ARGUMENT' && error.detail) throw usage(error.detail)
    throw error
  }
}
