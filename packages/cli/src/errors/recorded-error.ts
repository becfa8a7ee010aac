import { errorPage, type StorageErrorCode } from '@stored/core/backend'

/** What a job, or a backend, was noted to have failed with. */
export function recordedError({ code, message }: { code: StorageErrorCode; message: string }, more = ''): Error {
  return Object.assign(new Error(message + more), { code, url: errorPage(code) })
}
