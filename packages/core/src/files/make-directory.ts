import { mkdir, open, stat } from 'node:fs/promises'
import path from 'node:path'
import { type ErrorLocation, StorageError } from '../backend/error.ts'
import { type AccessMode, directoryMode, setMode } from './access-mode.ts'
import { mapFileError } from './file-owner.ts'

/**
 * Makes a directory with its parents, durably: what lies in a directory whose own name is lost is lost with it.
 *
 * @param mode Of the directory, whatever the umask; its parents get the usual one. What is there is left as it is.
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
  EEXIST: 'something that is no directory lies at',
  ENOTDIR: 'something that is no directory lies above',
  ENAMETOOLONG: 'a name is too long in',
  ELOOP: 'links lead round at',
  // All that is missing is made: no name is in the way.
  ENOENT: 'a link leads nowhere, or a disk is missing, on the way to',
}

/** A path where no directory can be is a mistake in the configuration. */
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
 * Makes a directory with its parents. Not by `mkdir({ recursive: true })`: in Node.js 24 that never ends where a directory answers ENOENT to every `mkdir` in it, as those of
 * autofs and `/proc` do.
 *
 * @param mode Of the directory; its parents get the usual one.
 * @returns The first directory that it made.
 */
export async function makeDirectories(directory: string, mode?: number): Promise<string | undefined> {
  const above = path.dirname(directory)
  try {
    return await make(directory, mode)
  } catch (error) {
    // Above a root is the root, and Windows may have none: of a drive that is not there.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || above === directory) throw error
  }
  const parent = await makeDirectories(above)
  const made = await make(directory, mode)
  return parent ?? made
}

/** @returns `undefined`: it was there. */
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
