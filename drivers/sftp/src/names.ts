import { randomUUID } from 'node:crypto'
import { type ErrorLocation, StorageError } from '@stored/core/backend'
import type { Connection } from './connection.ts'
import { STATUS, saysAbsent, statusOf } from './errors.ts'
import { join } from './paths.ts'
import { parentOf, type Root } from './root.ts'

/**
 * What a server may answer to a name that its medium refuses: OpenSSH says "bad message" for EINVAL and ENAMETOOLONG, others
 * "failure". Each can also mean trouble that concerns every name.
 */
const REFUSALS: readonly unknown[] = [STATUS.NO_SUCH_FILE, STATUS.FAILURE, STATUS.BAD_MESSAGE]

export interface Making {
  readonly connection: Connection
  readonly root: Root
  readonly at: ErrorLocation
  /** Of the new entry. */
  readonly path: string
  /** The file that gets the name, where there is one. */
  readonly source?: string
}

/**
 * Makes an entry of a directory, and tells a name that the medium refuses from a medium, or a directory, that is gone.
 *
 * @param make Is called a second time when the first failed so.
 * @throws {StorageError} INVALID_KEY · KEY_CONFLICT: another file system is mounted there.
 */
export async function makeEntry(making: Making, make: () => Promise<void>): Promise<void> {
  const { connection, path } = making
  try {
    await make()
  } catch (error) {
    if (!REFUSALS.includes(statusOf(error))) throw error
    // A directory: no listing shows it. While it is there, nobody can remove the directory that it lies in.
    const neighbour = join(parentOf(path), randomUUID())
    await connection.mkdir(neighbour).catch(() => {
      throw error
    })
    try {
      await make()
    } catch (again) {
      throw await explain(making, error, again)
    } finally {
      // A survivor is an empty directory, which no listing shows.
      await connection.rmdir(neighbour).catch(() => {})
    }
  }
}

/** Whether a lookup failed because the medium cannot hold the name: it answers to another one. Then nothing lies there. */
export async function cannotHold(connection: Connection, root: Root, error: unknown): Promise<boolean> {
  return statusOf(error) === STATUS.BAD_MESSAGE && (await isAbsent(connection, join(root.path, randomUUID())))
}

/** Why the entry could not be made although its neighbour could. */
async function explain({ connection, root, at, path, source }: Making, first: unknown, again: unknown) {
  const isSame = statusOf(first) === statusOf(again)
  if (!isSame || (source !== undefined && (await isAbsent(connection, source)))) return again
  const isTaken = await connection.lstat(path).then(
    () => true,
    (error) => !saysAbsent(error) && statusOf(error) !== STATUS.BAD_MESSAGE,
  )
  if (isTaken) return again
  if (source !== undefined && !(await reaches(connection, root, parentOf(path))))
    return new StorageError('KEY_CONFLICT', at, { cause: again, detail: 'another file system is mounted in the way' })
  const detail = `the server accepts no name like ${JSON.stringify(path.slice(path.lastIndexOf('/') + 1))}`
  return new StorageError('INVALID_KEY', at, { cause: again, detail })
}

/** Whether what lies in `.stored/tmp` can be moved to `directory`. */
async function reaches(connection: Connection, root: Root, directory: string): Promise<boolean> {
  const name = randomUUID()
  const [from, to] = [join(root.tmp, name), join(directory, name)]
  await connection.mkdir(from)
  return connection.rename(from, to).then(
    () => connection.rmdir(to).then(() => true),
    () => connection.rmdir(from).then(() => false),
  )
}

async function isAbsent(connection: Connection, path: string): Promise<boolean> {
  return connection.lstat(path).then(() => false, saysAbsent)
}
