import { randomUUID } from 'node:crypto'
import { basename } from 'node:path'
import { type ErrorLocation, StorageError } from '@stored/core/backend'
import { errnoOf } from './errors.ts'
import type { Held } from './held.ts'
import { io } from './io.ts'
import { join } from './paths.ts'
import type { Root } from './root.ts'
import { temporaryName } from './temp-names.ts'

/**
 * Makes an entry of a directory, and tells a name that the medium refuses from a medium, or a directory, that is gone. NTFS
 * answers EINVAL to `a:b`, exFAT ENOENT; both errors can also mean trouble that concerns every name.
 *
 * @param make Is called with the path of the entry, a second time when the first failed so.
 * @param source The file that gets the name, where there is one.
 * @throws {StorageError} INVALID_KEY.
 */
export async function makeEntry(
  directory: Held,
  name: string,
  at: ErrorLocation,
  make: (path: string) => Promise<void>,
  source?: string,
): Promise<void> {
  try {
    await make(directory.at(name))
  } catch (error) {
    if (!mayBeTheName(error)) throw error
    // A directory: no listing shows it. While it is there, nobody can remove the directory that it lies in.
    const neighbour = directory.at(randomUUID())
    await io.mkdir(neighbour).catch(() => {
      throw error
    })
    try {
      await make(directory.at(name))
    } catch (again) {
      if (errnoOf(again) !== errnoOf(error) || (source !== undefined && !(await isThere(source)))) throw again
      throw new StorageError('INVALID_KEY', at, { cause: again, detail: refusalOf(name, again) })
    } finally {
      // A survivor is an empty directory, which no listing shows.
      await io.rmdir(neighbour).catch(() => {})
    }
  }
}

/** Whether a lookup failed because the medium cannot hold the name: it answers to another one. Then nothing lies there. */
export async function cannotHold(root: Root, error: unknown): Promise<boolean> {
  const code = errnoOf(error)
  if (code !== 'EINVAL' && code !== 'ENAMETOOLONG' && code !== 'EILSEQ') return false
  return root.lstat(join(root.path, randomUUID())).then(
    () => false,
    (answer) => errnoOf(answer) === 'ENOENT',
  )
}

/** Whether nothing can be opened at a path because nothing is there, or the medium would not take its name. */
export function mayBeTheName(error: unknown): boolean {
  const code = errnoOf(error)
  return code === 'ENOENT' || code === 'EINVAL'
}

/** Whether a file of `.stored/tmp` can get to the root: then what it cannot get to lies on another file system. */
export async function reachesRoot(root: Root, tmp: Held): Promise<boolean> {
  using top = await root.openDirectory(root.path)
  const name = temporaryName()
  const [from, to] = [tmp.at(name), top.at(name)]
  await io.mkdir(from)
  return await io.rename(from, to).then(
    () => io.rmdir(to).then(() => true),
    () => io.rmdir(from).then(() => false),
  )
}

function refusalOf(name: string, error: unknown): string {
  return `the medium accepts no name like ${JSON.stringify(basename(name))} (${errnoOf(error)})`
}

async function isThere(path: string): Promise<boolean> {
  return io.lstat(path).then(
    () => true,
    () => false,
  )
}
