import { chown, copyFile, link, open, rename, rm, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { StorageError } from '@stored/core/backend'
import { setMode, statIfThere, syncDirectory } from '@stored/core/files'
import { INDEX_FILE } from './environment.ts'
import { lockFileOf } from './lock-file.ts'

/** A new index that is being written, until it takes the place of the index. */
export const NEW_INDEX_FILE = 'index.new.mdb'

/** Removes what is left of a new index. Behind the gate: nobody may be writing it. */
export async function sweepNewIndex(directory: string): Promise<void> {
  const file = path.join(directory, NEW_INDEX_FILE)
  for (const one of [file, lockFileOf(file)]) await rm(one, { force: true })
}

/** There while a restore is at work: staged files are in the directory, and the index that knows them is not. */
const RESTORING_FILE = 'restoring'

/** @returns Whether one that was cut off has begun before. */
export async function beginRestore(directory: string): Promise<boolean> {
  const file = path.join(directory, RESTORING_FILE)
  if (await isThere(file)) return true
  await writeFile(file, '')
  await syncDirectory(directory)
  return false
}

export async function endRestore(directory: string): Promise<void> {
  await rm(path.join(directory, RESTORING_FILE), { force: true })
}

/**
 * Behind the gate: nobody may be restoring. An index that is there was put in its place as the last step.
 *
 * @throws {StorageError} CORRUPT: a restore was cut off. A new index would not know the staged files.
 */
export async function requireRestored(directory: string): Promise<void> {
  const file = path.join(directory, RESTORING_FILE)
  if (!(await isThere(file))) return
  if (await isThere(path.join(directory, INDEX_FILE))) return endRestore(directory)
  const detail = `a restore into ${directory} was cut off: run \`stored restore\` again, or remove this file to give it up`
  throw new StorageError('CORRUPT', { op: 'open', key: RESTORING_FILE }, { detail })
}

async function isThere(file: string): Promise<boolean> {
  return (await statIfThere(file)) !== null
}

/** Whoever may use the present index may use the new one, also where root or another user of the group makes it. */
export async function takeOver(file: string, index: string): Promise<void> {
  const [{ uid, gid, mode }, made] = [await stat(index), await stat(file)]
  if (uid !== made.uid || gid !== made.gid)
    await chown(file, uid, gid).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPERM' && error.code !== 'ENOTSUP') throw error
    })
  await setMode(file, mode & 0o777)
}

/** Makes a new index durable. */
export async function flush(file: string): Promise<void> {
  await using handle = await open(file, 'r+')
  await handle.sync()
}

/**
 * Puts the new index in the place of the present one, by one rename: whoever is killed at it leaves one of the two.
 *
 * @param keepAs Name that the present one keeps.
 */
export async function putInPlace(directory: string, keepAs: string | undefined): Promise<void> {
  const index = path.join(directory, INDEX_FILE)
  if (keepAs !== undefined) await keep(index, path.join(directory, keepAs))
  // What is kept has its name before it loses the other one.
  await syncDirectory(directory)
  await rename(path.join(directory, NEW_INDEX_FILE), index)
  await syncDirectory(directory)
  await sweepNewIndex(directory)
}

/** @throws {StorageError} ALREADY_EXISTS: the name is taken, by something other than the index itself. */
export async function requireUnkept(directory: string, keepAs: string): Promise<void> {
  const file = path.join(directory, keepAs)
  const found = await statIfThere(file)
  if (found === null || found.ino === (await stat(path.join(directory, INDEX_FILE))).ino) return
  const detail = `${file} exists: move it away, or remove it`
  throw new StorageError('ALREADY_EXISTS', { op: 'open', key: keepAs }, { detail })
}

/** A second name. Where the file system has none, a copy: its name comes last, so that one that was cut off is never taken for whole. */
async function keep(index: string, as: string): Promise<void> {
  // One of a run that was killed here.
  await rm(as, { force: true })
  try {
    await link(index, as)
  } catch {
    const part = `${as}.part`
    await copyFile(index, part)
    await using handle = await open(part, 'r+')
    await handle.sync()
    await rename(part, as)
  }
}
