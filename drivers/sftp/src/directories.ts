import { type ErrorLocation, StorageError } from '@stored/core/backend'
import type { Connection } from './connection.ts'
import { STATUS, saysAbsent, statusOf } from './errors.ts'
import { makeEntry } from './names.ts'
import { parentOf, type Root } from './root.ts'

/** How often a directory is recreated while others remove it. */
const MAX_ATTEMPTS = 10

/**
 * Runs `work` in the directory at `path`, which it creates with its parents if it does not exist.
 *
 * @param work Called again after it reports that something does not exist.
 * @throws {StorageError} KEY_CONFLICT if a blob or a link is in the way · INVALID_KEY if the medium cannot hold a
 *   directory of this name · UNAVAILABLE without the root.
 */
export async function inDirectory<T>(
  connection: Connection,
  root: Root,
  path: string,
  at: ErrorLocation,
  work: () => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      if (!(await isInPlace(connection, path))) {
        // What blocks the root blocks every key: that is not this key's fault.
        await root.check(connection, at)
        throw linkInTheWay(at)
      }
      return await work()
    } catch (error) {
      const isNotThere = saysAbsent(error) || statusOf(error) === STATUS.BAD_MESSAGE
      if (!isNotThere || attempt === MAX_ATTEMPTS) throw error
    }
    await root.check(connection, at)
    if (path !== root.path) await make(connection, root, path, at)
  }
}

/** Flushes the entries of a directory, if the server can. */
export async function flush(connection: Connection, path: string): Promise<void> {
  const handle = await connection.open(path, 'r')
  try {
    await connection.fsync(handle)
  } finally {
    connection.closeHandle(handle).catch(() => {})
  }
}

/** Removes `path` and its parents below the root, as far as they are empty. */
export async function prune(connection: Connection, root: Root, path: string): Promise<void> {
  for (let empty = path; empty !== root.path; empty = parentOf(empty)) {
    try {
      if (!(await isInPlace(connection, empty))) return
      await connection.rmdir(empty)
    } catch {
      // Usually it is not empty. Any other failure leaves an empty directory, which no listing shows.
      return
    }
  }
}

/** Whether `path` leads through no link. @throws NO_SUCH_FILE if it does not exist. */
export async function isInPlace(connection: Connection, path: string): Promise<boolean> {
  return (await connection.realpath(path)) === path
}

async function make(connection: Connection, root: Root, path: string, at: ErrorLocation): Promise<void> {
  try {
    await inParent(connection, root, path, at)
  } catch (error) {
    if (statusOf(error) !== STATUS.FAILURE) throw error
    const found = await connection.lstat(path)
    if (found.isDirectory()) return
    throw found.isSymbolicLink()
      ? linkInTheWay(at)
      : new StorageError('KEY_CONFLICT', at, { cause: error, detail: 'a blob is in the place of a directory' })
  }
}

function inParent(connection: Connection, root: Root, path: string, at: ErrorLocation): Promise<void> {
  return inDirectory(connection, root, parentOf(path), at, async () => {
    await makeEntry({ connection, root, at, path }, () => connection.mkdir(path))
    if (root.medium.flushesDirectories) await flush(connection, parentOf(path))
  })
}

function linkInTheWay(at: ErrorLocation): StorageError {
  return new StorageError('KEY_CONFLICT', at, { detail: 'a symbolic link is in the way' })
}
