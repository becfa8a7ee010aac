import { errorPage, type StorageErrorCode } from '@stored/core/backend'

/** The recorded failure of a job or a backend. */
export function recordedError({ code, message }: { code: StorageErrorCode; message: string }, more = ''): Error {
  return Object.assign(new Error(message + more), { code, url: errorPage(code) })
}
