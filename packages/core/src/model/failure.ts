import type { StorageErrorCode } from '../backend/error.ts'

/** The part of a StorageError that is stored. */
export interface Failure {
  readonly code: StorageErrorCode
  readonly message: string
}
