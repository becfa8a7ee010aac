import { constants, type FileHandle, open } from 'node:fs/promises'
import path from 'node:path'
import { StorageError } from '@stored/core/backend'
import { setMode } from './access-mode.ts'
import { mapFileError } from './file-owner.ts'
import { lockFileOf } from './lock-file.ts'

const META_MAGIC = { offset: 24, bytes: Buffer.of(0xde, 0xc0, 0xef, 0xbe) } as const

/**
 * Opens what LMDB is about to open, all at once: an error met by LMDB itself as it opens ends the process. lmdb-js 3.5.6 then uses
 * what it has freed (EnvWrap::openEnv() in env.cpp; measured with EMFILE, and with a file that is not LMDB's).
 *
 * @param mode Of the files that it makes, whatever the umask. LMDB's own is 0664.
 */
export async function rehearse(file: string, mode: number): Promise<void> {
  const opened: FileHandle[] = []
  try {
    opened.push(await openOrMake(lockFileOf(file), constants.O_RDWR, mode))
    opened.push(await openOrMake(file, constants.O_WRONLY, mode))
    const handle = await open(file, constants.O_RDWR)
    opened.push(handle)
    // The size before the bytes: a file that another process fills at this moment is empty or whole, and never a stranger's.
    const { size } = await handle.stat()
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(META_MAGIC.bytes.length), 0, 4, META_MAGIC.offset)
    if (size > 0 && !buffer.subarray(0, bytesRead).equals(META_MAGIC.bytes))
      throw new StorageError('CORRUPT', { op: 'open' }, { detail: `${path.basename(file)} is no LMDB file` })
  } finally {
    for (const handle of opened) await handle.close()
  }
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
