import type { BackendInfo, StoreD } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import { usage } from '../errors/fault.ts'

/** The backend that a command names. @throws {Fault} USAGE: no backend has that name. */
export async function knownBackend(store: StoreD, name: string): Promise<BackendInfo> {
  try {
    return await store.getBackend(name)
  } catch (error) {
    // This is a mistake in the command line, so leave out the method that detected it.
    if (StorageError.is(error) && error.code === 'INVALID_ARGUMENT' && error.detail) throw usage(error.detail)
    throw error
  }
}
