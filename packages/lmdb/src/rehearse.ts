import { constants, type FileHandle, open } from 'node:fs/promises'
import path from 'node:path'
import { StorageError } from '@stored/core/backend'

const META_MAGIC = { offset: 24, bytes: Buffer.of(0xde, 0xc0, 0xef, 0xbe) } as const

/**
 * Opens what LMDB is about to open, all at once: an error met by LMDB itself as it opens ends the process. lmdb-js 3.5.6 then uses
 * what it has freed (EnvWrap::openEnv() in env.cpp; measured with EMFILE, and with a file that is not LMDB's).
 */
export async function rehearse(file: string): Promise<void> {
  const opened: FileHandle[] = []
  try {
    opened.push(await open(`${file}-lock`, constants.O_RDWR | constants.O_CREAT, 0o664))
    opened.push(await open(file, constants.O_WRONLY | constants.O_CREAT, 0o664))
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
