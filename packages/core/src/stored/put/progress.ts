import { type ErrorLocation, messageOf, StorageError } from '../../backend/error.ts'

/** Calls the caller's `onProgress`. @throws {StorageError} INVALID_ARGUMENT, with what it threw as its cause: it is no failure of ours. */
export function tellProgress(tell: () => void, at: ErrorLocation): void {
  try {
    tell()
  } catch (cause) {
    throw new StorageError('INVALID_ARGUMENT', at, { cause, detail: `onProgress threw: ${messageOf(cause)}` })
  }
}
