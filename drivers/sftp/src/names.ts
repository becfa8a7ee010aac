import { randomUUID } from 'node:crypto'
import { type ErrorLocation, StorageError } from '@stored/core/backend'
import type { Connection } from './connection.ts'
import { STATUS, saysAbsent, statusOf } from './errors.ts'
import { join } from './paths.ts'
import { parentOf, type Root } from './root.ts'

/**
 * How a server may answer to a name that its medium refuses: OpenSSH says "bad message" for EINVAL and ENAMETOOLONG,
 * others "failure". Each can also mean trouble that affects every name.
 */
const REFUSALS: readonly unknown[] = [STATUS.NO_SUCH_FILE, STATUS.FAILURE, STATUS.BAD_MESSAGE]

export interface Making {
  readonly connection: Connection
  readonly root: Root
  readonly at: ErrorLocation
  /** The path of the new entry. */
  readonly path: string
  /** The file that gets the name, if there is one. */
  readonly source?: string
}

/**
 * Creates a directory entry, and tells a name that the medium refuses from a medium or directory that is gone.
 *
 * @param make Called a second time if the first call failed this way.
 * @throws {StorageError} INVALID_KEY · KEY_CONFLICT: another file system is mounted there.
 */
export async function makeEntry(making: Making, make: () => Promise<void>): Promise<void> {
  const { connection, path } = making
  try {
    await make()
  } catch (error) {
    if (!REFUSALS.includes(statusOf(error))) throw error
    // A directory, because no listing shows it. While it exists, its parent cannot be removed.
    const neighbour = join(parentOf(path), randomUUID())
    await connection.mkdir(neighbour).catch(() => {
      throw error
    })
    try {
      await make()
    } catch (again) {
      throw await explain(making, error, again)
    } finally {
      // If this fails, an empty directory remains, which no listing shows.
      await connection.rmdir(neighbour).catch(() => {})
    }
  }
}

/**
 * Whether a lookup failed because the medium cannot hold the name: it answers for another one. Then nothing is there.
 */
export async function cannotHold(connection: Connection, root: Root, error: unknown): Promise<boolean> {
  return statusOf(error) === STATUS.BAD_MESSAGE && (await isAbsent(connection, join(root.path, randomUUID())))
}

/** Why the entry could not be created although its neighbour could. */
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
  const detail = `the server refuses names like ${JSON.stringify(path.slice(path.lastIndexOf('/') + 1))}`
  return new StorageError('INVALID_KEY', at, { cause: again, detail })
}

/** Whether a file in `.stored/tmp` can be moved to `directory`. */
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
