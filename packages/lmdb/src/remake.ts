import { randomBytes } from 'node:crypto'
import { open, readFile, rm, stat } from 'node:fs/promises'
import path from 'node:path'
import { StorageError } from '@stored/core/backend'
import { lockFileOf } from './lock-file.ts'
import type { RootFile } from './open-root.ts'
import { rehearse } from './rehearse.ts'

/**
 * Makes a file of LMDB's that holds nothing new where it is damaged. In its place, by bytes that are the same whoever writes them:
 * other processes may have it open, or be doing the same.
 *
 * @param make Makes one that is not there yet, and closes it.
 */
export async function remakeIfDamaged(
  { file, mode }: RootFile,
  make: (root: RootFile) => Promise<void>,
): Promise<void> {
  if (!(await isDamaged(file, mode))) return
  const fresh = `${file}.new-${randomBytes(6).toString('hex')}`
  try {
    await make({ file: fresh, mode })
    await copyInto(file, await readFile(fresh))
  } finally {
    for (const one of [fresh, lockFileOf(fresh)]) await rm(one, { force: true })
  }
}

/** @throws What else keeps it from being opened. */
async function isDamaged(file: string, mode: number): Promise<boolean> {
  try {
    await rehearse(file, mode)
    return false
  } catch (error) {
    const isOwn = StorageError.is(error) && error.code === 'CORRUPT' && error.at.key === path.basename(file)
    if (isOwn && (await stat(file)).isFile()) return true
    throw error
  }
}

async function copyInto(file: string, bytes: Buffer): Promise<void> {
  await using handle = await open(file, 'r+')
  await handle.write(bytes, 0, bytes.length, 0)
  await handle.sync()
}
