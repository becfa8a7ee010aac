import { constants, type FileHandle, open } from 'node:fs/promises'
import path from 'node:path'
import { StorageError } from '@stored/core/backend'
import { setMode } from './access-mode.ts'
import { mapFileError } from './file-owner.ts'
import { lockFileOf } from './lock-file.ts'

const MAGIC = Buffer.of(0xde, 0xc0, 0xef, 0xbe)
/** Offsets in each of the first two pages. @see struct MDB_meta in mdb.c: `mm_magic`, `mm_psize`, `mm_last_pg` */
const META = { magic: 24, pageSize: 48, lastPage: 144, bytes: 152 } as const

/**
 * Opens what LMDB is about to open, all at once: an error met by LMDB itself as it opens ends the process. lmdb-js 3.5.6 then uses
 * what it has freed (EnvWrap::openEnv() in env.cpp; measured with EMFILE, and with a file that is not LMDB's). So does a page that
 * the file should have and has not: it is read as memory (SIGBUS).
 *
 * @param mode Of the files that it makes, whatever the umask. LMDB's own is 0664.
 * @throws {StorageError} CORRUPT, with the name of the file as `at.key`: it is not LMDB's, or was cut off · what the system said.
 */
export async function rehearse(file: string, mode: number): Promise<void> {
  const opened: FileHandle[] = []
  try {
    opened.push(await openOrMake(lockFileOf(file), constants.O_RDWR, mode))
    opened.push(await openOrMake(file, constants.O_WRONLY, mode))
    const handle = await open(file, constants.O_RDWR)
    opened.push(handle)
    await inspect(handle, path.basename(file))
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

async function inspect(handle: FileHandle, name: string): Promise<void> {
  const corrupt = (detail: string) => new StorageError('CORRUPT', { op: 'open', key: name }, { detail })
  // The size before the bytes: a file that another process fills at this moment is empty or whole, and never a stranger's.
  const { size } = await handle.stat()
  if (size === 0) return
  const first = await metaAt(handle, 0)
  if (!first.subarray(META.magic, META.magic + MAGIC.length).equals(MAGIC)) throw corrupt('it is no LMDB file')
  const pageSize = first.readUInt32LE(META.pageSize)
  const pages = [first, await metaAt(handle, pageSize)].map((meta) => Number(meta.readBigUInt64LE(META.lastPage)) + 1)
  const end = Math.max(...pages) * pageSize
  // The size after them: it only grows.
  const { size: found } = await handle.stat()
  if (found < end) throw corrupt(`it was cut off: ${found} of ${end} bytes are there`)
}

/** Zeros where the file ends before. */
async function metaAt(handle: FileHandle, position: number): Promise<Buffer> {
  const meta = Buffer.alloc(META.bytes)
  await handle.read(meta, 0, meta.length, position)
  return meta
}
