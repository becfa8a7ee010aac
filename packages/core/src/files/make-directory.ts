import { mkdir, open, stat } from 'node:fs/promises'
import path from 'node:path'
import { type ErrorLocation, StorageError } from '../backend/error.ts'
import { type AccessMode, directoryMode, setMode } from './access-mode.ts'
import { mapFileError } from './file-owner.ts'

/**
 * Makes a directory and its parents durably: if a directory's name is lost, so are its contents.
 *
 * @param mode The mode of the directory, regardless of the umask; parents get the default mode. An existing directory
 *   is left unchanged.
 */
export async function makeDirectory(directory: string, at: ErrorLocation, mode: AccessMode = 0o700): Promise<void> {
  const leaf = path.resolve(directory)
  try {
    const first = await makeDirectories(leaf, directoryMode(mode))
    if (first === undefined) return
    for (let made = leaf; made.length >= first.length; made = path.dirname(made))
      await syncDirectory(path.dirname(made))
  } catch (error) {
    throw unusable(error, directory, at) ?? (await mapFileError(error, path.dirname(leaf), at))
  }
}

const UNUSABLE: Readonly<Record<string, string>> = {
  EEXIST: 'something that is not a directory is at',
  ENOTDIR: 'something that is not a directory is above',
  ENAMETOOLONG: 'a name is too long in',
  ELOOP: 'links form a loop at',
  // Everything missing is created, so no name is in the way.
  ENOENT: 'a link is dangling, or a disk is missing, on the way to',
}

/** A path where no directory can exist is a mistake in the configuration. */
function unusable(error: unknown, directory: string, at: ErrorLocation): StorageError | undefined {
  const fault = UNUSABLE[(error as NodeJS.ErrnoException).code ?? '']
  if (fault === undefined) return undefined
  return new StorageError('MISCONFIGURED', at, { cause: error, detail: `${fault} ${JSON.stringify(directory)}` })
}

/** Flushes the names in a directory. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/**
 * Makes a directory and its parents. Does not use `mkdir({ recursive: true })`: in Node.js 24 it never ends where a
 * directory answers every `mkdir` with ENOENT, as autofs and `/proc` do.
 *
 * @param mode The mode of the directory; parents get the default mode.
 * @returns The first directory that it made.
 */
export async function makeDirectories(directory: string, mode?: number): Promise<string | undefined> {
  const above = path.dirname(directory)
  try {
    return await make(directory, mode)
  } catch (error) {
    // The parent of a root is the root itself, and on Windows it may not exist if the drive is missing.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || above === directory) throw error
  }
  const parent = await makeDirectories(above)
  const made = await make(directory, mode)
  return parent ?? made
}

/** @returns `undefined`: it existed. */
async function make(directory: string, mode?: number): Promise<string | undefined> {
  try {
    await mkdir(directory, mode === undefined ? {} : { mode: mode & 0o777 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST' && (await stat(directory)).isDirectory()) return undefined
    throw error
  }
  if (mode !== undefined) await setMode(directory, mode)
  return directory
}
