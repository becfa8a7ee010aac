import { type ErrorLocation, StorageError } from '@stored/core/backend'
import type { Connection } from './connection.ts'
import { STATUS, saysAbsent, statusOf } from './errors.ts'
import { makeEntry } from './names.ts'
import { parentOf, type Root } from './root.ts'

/** How often a directory is made again that others remove at the same time. */
const MAX_ATTEMPTS = 10

/**
 * Does something in the directory at `path`, which it makes, with its parents, when it is not there.
 *
 * @param work Called again after it says that something is not there.
 * @throws {StorageError} KEY_CONFLICT when a blob or a link is in the way · INVALID_KEY when the medium cannot hold
 *   a directory of this name · UNAVAILABLE without the root.
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
        // What is in the way of the root is in the way of every key: that is no fault of this one.
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

/** Flushes the entries of a directory, where the server can. */
export async function flush(connection: Connection, path: string): Promise<void> {
  const handle = await connection.open(path, 'r')
  try {
    await connection.fsync(handle)
  } finally {
    connection.closeHandle(handle).catch(() => {})
  }
}

/** Removes `path` and its parents, the root apart, as far as they are empty. */
export async function prune(connection: Connection, root: Root, path: string): Promise<void> {
  for (let empty = path; empty !== root.path; empty = parentOf(empty)) {
    try {
      if (!(await isInPlace(connection, empty))) return
      await connection.rmdir(empty)
    } catch {
      // Not empty, as a rule. Whatever else forbids it leaves an empty directory, which no listing shows.
      return
    }
  }
}

/** Whether `path` leads through no link. @throws NO_SUCH_FILE when it is not there. */
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
      : new StorageError('KEY_CONFLICT', at, { cause: error, detail: 'a blob is where a directory would be' })
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
