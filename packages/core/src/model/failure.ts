import type { StorageErrorCode } from '../backend/error.ts'

/** What is remembered of a StorageError. */
export interface Failure {
  readonly code: StorageErrorCode
  readonly message: string
}
