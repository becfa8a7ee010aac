import { randomUUID } from 'node:crypto'
import { type ErrorLocation, StorageError } from '@stored/core/backend'
import type { Connection } from './connection.ts'
import { saysAbsent } from './errors.ts'
import { type Medium, unlinkIfThere } from './medium.ts'
import { join } from './paths.ts'
import { temporaryName } from './temp-names.ts'

/** By which a root is known again. */
export const MARKER = 'root'
/** What a marker takes, and one byte that tells a longer file, in bytes. */
const MARKER_BYTES = 38
const MARK = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** Makes a directory of the driver where none is. @throws {StorageError} MISCONFIGURED: a link or something else has its name. */
export async function makeOwn(connection: Connection, path: string, at: ErrorLocation): Promise<void> {
  const failure: unknown = await connection.mkdir(path).then(
    () => undefined,
    (error) => error,
  )
  await checkOwn(connection, path, at).catch((error) => {
    throw failure !== undefined && saysAbsent(error) ? failure : error
  })
}

/** @throws {StorageError} MISCONFIGURED: a link or something else has the place of a directory of the driver. */
async function checkOwn(connection: Connection, path: string, at: ErrorLocation): Promise<void> {
  const [found, place] = await Promise.all([connection.lstat(path), connection.realpath(path)])
  if (!found.isDirectory() || place !== path) throw notOwn(path, at)
}

/** The error for something foreign where a directory of the driver has to be. */
export function notOwn(path: string, at: ErrorLocation): StorageError {
  const detail = `${path} is not the driver's own directory: a link or a file has taken its place`
  return new StorageError('MISCONFIGURED', at, { detail })
}

/**
 * The mark of a root.
 *
 * @param own `.stored`, free of links.
 * @returns `null` when there is none yet.
 * @throws {StorageError} MISCONFIGURED: what lies there was not written by this driver. Nothing of it is told.
 */
export async function markIn(connection: Connection, own: string, at: ErrorLocation): Promise<string | null> {
  try {
    const text = await readMarker(connection, own)
    if (MARK.test(text)) return text
  } catch (error) {
    if (saysAbsent(error)) return null
    throw error
  }
  throw new StorageError('MISCONFIGURED', at, { detail: `${join(own, MARKER)} was not written by this driver` })
}

/** What stands in the marker; nothing when it is no plain file that can be one. @throws NO_SUCH_FILE when it is not there. */
export async function readMarker(connection: Connection, own: string): Promise<string> {
  const path = join(own, MARKER)
  // Before it is opened: the protocol follows links, and opening a pipe would keep the server waiting.
  const [found, place] = await Promise.all([connection.lstat(path), connection.realpath(path)])
  if (!found.isFile() || place !== path) return ''
  const handle = await connection.open(path, 'r')
  try {
    const buffer = Buffer.alloc(MARKER_BYTES)
    return buffer.toString('latin1', 0, await connection.read(handle, buffer, 0, buffer.length, 0)).trim()
  } finally {
    connection.closeHandle(handle).catch(() => {})
  }
}

/** Of several at once one wins: a name is claimed by a link, or by a rename that does not replace. */
export async function writeMarker(connection: Connection, own: string, tmp: string, medium: Medium): Promise<void> {
  const [temp, marker] = [join(tmp, temporaryName()), join(own, MARKER)]
  const handle = await connection.open(temp, 'wx')
  try {
    await connection.write(handle, Buffer.from(`${randomUUID()}\n`), 0)
    if (medium.flushesFiles) await connection.fsync(handle)
    await (medium.hardLinks ? connection.link(temp, marker) : connection.rename(temp, marker)).catch(async (error) => {
      if (!(await isThere(connection, marker))) throw error
    })
  } finally {
    await connection.closeHandle(handle)
    await unlinkIfThere(connection, temp)
  }
}

/** Makes a directory where nothing is. */
export async function makeDirectory(connection: Connection, path: string): Promise<void> {
  try {
    await connection.mkdir(path)
  } catch (error) {
    if (saysAbsent(error)) throw error
    // Others answer "permission denied" to what is there already.
    if (!(await isThere(connection, path))) throw error
  }
}

export async function isThere(connection: Connection, path: string): Promise<boolean> {
  try {
    await connection.lstat(path)
    return true
  } catch (error) {
    if (saysAbsent(error)) return false
    throw error
  }
}
