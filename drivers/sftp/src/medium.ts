import { StorageError } from '@stored/core/backend'
import type { Connection } from './connection.ts'
import { STATUS, saysAbsent, statusOf } from './errors.ts'
import { join } from './paths.ts'
import { telltaleName, temporaryName } from './temp-names.ts'

/** What the server and the file system below the root can do, found by probing. */
export interface Medium {
  /** `posix-rename@openssh.com`: a rename replaces, atomically. */
  readonly replaces: boolean
  /** `hardlink@openssh.com`: a link claims a free name, atomically. */
  readonly hardLinks: boolean
  /** `fsync@openssh.com` for files. */
  readonly flushesFiles: boolean
  /** The same for directories. */
  readonly flushesDirectories: boolean
  readonly caseSensitive: boolean
  readonly normalizes: boolean
}

/** For a root that cannot be probed. */
export const UNKNOWN: Medium = {
  replaces: false,
  hardLinks: false,
  flushesFiles: false,
  flushesDirectories: false,
  caseSensitive: true,
  normalizes: false,
}

/** Probes in `directory`, and leaves nothing there. */
export async function probe(connection: Connection, directory: string): Promise<Medium> {
  const name = telltaleName()
  const file = join(directory, name)
  const [link, other] = [join(directory, temporaryName()), join(directory, temporaryName())]
  try {
    const flushesFiles = await flushes(connection, file, 'wx')
    await connection.closeHandle(await connection.open(other, 'wx'))
    const [caseSensitive, normalizes, hardLinks, flushesDirectories] = await Promise.all([
      exists(connection, join(directory, name.replace('aB', 'Ab'))).then((found) => !found),
      exists(connection, join(directory, name.normalize('NFD'))),
      // Twice: a link that claims a taken name is useless.
      succeeds(connection.link(file, link)).then(
        async (made) => made && !(await succeeds(connection.link(file, link))),
      ),
      flushes(connection, directory, 'r'),
    ])
    const replaces = await succeeds(connection.replace(other, link))
    return { replaces, hardLinks, flushesFiles, flushesDirectories, caseSensitive, normalizes }
  } finally {
    await Promise.all([file, link, other].map((path) => unlinkIfThere(connection, path)))
  }
}

/** @returns Whether the file existed. */
export async function unlinkIfThere(connection: Connection, path: string): Promise<boolean> {
  try {
    await connection.unlink(path)
    return true
  } catch (error) {
    if (saysAbsent(error)) return false
    throw error
  }
}

async function flushes(connection: Connection, path: string, flags: 'r' | 'wx'): Promise<boolean> {
  // Whether a directory can be opened is part of the question; a new file must be.
  const handle = await connection.open(path, flags).catch((error) => {
    if (flags === 'wx' || statusOf(error) === undefined) throw error
    return null
  })
  if (handle === null) return false
  try {
    return await succeeds(connection.fsync(handle))
  } finally {
    await connection.closeHandle(handle)
  }
}

async function succeeds(call: Promise<void>): Promise<boolean> {
  return call.then(
    () => true,
    (error) => {
      if (StorageError.is(error)) throw error
      return false
    },
  )
}

async function exists(connection: Connection, path: string): Promise<boolean> {
  return connection.lstat(path).then(
    () => true,
    (error) => {
      if (saysAbsent(error) || statusOf(error) === STATUS.BAD_MESSAGE) return false
      throw error
    },
  )
}
