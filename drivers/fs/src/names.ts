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
 * Creates a directory entry, and tells a name that the medium refuses from a medium or directory that is gone. NTFS
 * answers EINVAL to `a:b`, exFAT ENOENT; both errors can also mean trouble that affects every name.
 *
 * @param make Called with the path of the entry, and a second time if the first call failed this way.
 * @param source The file that gets the name, if there is one.
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
    // A directory, because no listing shows it. While it exists, its parent cannot be removed.
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
      // If this fails, an empty directory remains, which no listing shows.
      await io.rmdir(neighbour).catch(() => {})
    }
  }
}

/**
 * Whether a lookup failed because the medium cannot hold the name: it answers for another one. Then nothing is there.
 */
export async function cannotHold(root: Root, error: unknown): Promise<boolean> {
  const code = errnoOf(error)
  if (code !== 'EINVAL' && code !== 'ENAMETOOLONG' && code !== 'EILSEQ') return false
  return root.lstat(join(root.path, randomUUID())).then(
    () => false,
    (answer) => errnoOf(answer) === 'ENOENT',
  )
}

/** Whether nothing can be opened at a path because nothing is there, or because the medium refuses its name. */
export function mayBeTheName(error: unknown): boolean {
  const code = errnoOf(error)
  return code === 'ENOENT' || code === 'EINVAL'
}

/**
 * Whether a file from `.stored/tmp` can be moved to the root: if so, any place it cannot be moved to is on another file
 * system.
 */
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
  return `the medium refuses names like ${JSON.stringify(basename(name))} (${errnoOf(error)})`
}

async function isThere(path: string): Promise<boolean> {
  return io.lstat(path).then(
    () => true,
    () => false,
  )
}
