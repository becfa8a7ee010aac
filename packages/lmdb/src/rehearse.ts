import { constants, type FileHandle, open, stat } from 'node:fs/promises'
import path from 'node:path'
import { StorageError } from '@stored/core/backend'
import { mapFileError, setMode } from '@stored/core/files'
import { inspect } from './inspect.ts'
import { lockFileOf } from './lock-file.ts'

/**
 * Opens what LMDB is about to open, all at once: an error met by LMDB itself as it opens ends the process. lmdb-js 3.5.6 then uses
 * what it has freed (EnvWrap::openEnv() in env.cpp; measured with EMFILE, and with a file that is not LMDB's). So does much of what is
 * damaged in the file, see `inspect`.
 *
 * @param mode Of the files that it makes, whatever the umask. LMDB's own is 0664.
 * @throws {StorageError} CORRUPT, with the name of the file as `at.key`: it is damaged, or no file · what the system said.
 */
export async function rehearse(file: string, mode: number): Promise<void> {
  const opened: FileHandle[] = []
  try {
    for (const one of [lockFileOf(file), file]) await requireFile(one)
    opened.push(await openOrMake(lockFileOf(file), constants.O_RDWR, mode))
    opened.push(await openOrMake(file, constants.O_WRONLY, mode))
    const handle = await open(file, constants.O_RDWR)
    opened.push(handle)
    await inspect(handle, path.basename(file))
  } finally {
    for (const handle of opened) await handle.close()
  }
}

/** What opens anything else may wait for ever (a pipe). */
async function requireFile(file: string): Promise<void> {
  const found = await stat(file).catch(() => null)
  if (found === null || found.isFile()) return
  const at = { op: 'open', key: path.basename(file) }
  throw new StorageError('CORRUPT', at, { detail: 'something other than a file is in its place: move that away' })
}

async function openOrMake(file: string, flags: number, mode: number): Promise<FileHandle> {
  try {
    const handle = await open(file, flags | constants.O_CREAT | constants.O_EXCL, mode)
    await setMode(file, mode)
    return handle
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  return open(file, flags).catch(async (error) => {
    throw await mapFileError(error, file, { op: 'open' })
  })
}
