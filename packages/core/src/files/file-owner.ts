import { stat } from 'node:fs/promises'
import path from 'node:path'
import { mapErrno } from '../backend/errno.ts'
import { type ErrorLocation, StorageError } from '../backend/error.ts'

/** `index.mdb (owner 1000, mode 0600)`, as far as visible. */
export async function describeOwner(file: string): Promise<string> {
  const found = await stat(file).catch(() => null)
  return found ? `${path.basename(file)} (owner ${found.uid}, mode ${octal(found.mode)})` : path.basename(file)
}

/** `0600` */
function octal(mode: number): string {
  return (mode & 0o777).toString(8).padStart(4, '0')
}

/** The error for a failed system call on a file; if permissions are missing it names the file's owner. */
export async function mapFileError(error: unknown, file: string, at: ErrorLocation): Promise<StorageError> {
  const mapped = mapErrno(error, at)
  if (StorageError.is(error) || mapped.code !== 'PERMISSION_DENIED') return mapped
  const user = process.getuid ? ` to user ${process.getuid()}` : ''
  const detail = `${mapped.detail}: ${await describeOwner(file)} is closed${user}`
  return new StorageError('PERMISSION_DENIED', at, { cause: error, detail })
}
