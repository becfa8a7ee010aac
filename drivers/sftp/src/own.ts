import { randomUUID } from 'node:crypto'
import { type ErrorLocation, StorageError } from '@stored/core/backend'
import type { Connection } from './connection.ts'
import { saysAbsent } from './errors.ts'
import { type Medium, unlinkIfThere } from './medium.ts'
import { join } from './paths.ts'
import { temporaryName } from './temp-names.ts'

/** Identifies a root. */
export const MARKER = 'root'
/** The length of a marker in bytes, plus one to detect a longer file. */
const MARKER_BYTES = 38
const MARK = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/**
 * Creates a directory of the driver where none exists. @throws {StorageError} MISCONFIGURED: a link or something else
 * has its name.
 */
export async function makeOwn(connection: Connection, path: string, at: ErrorLocation): Promise<void> {
  const failure: unknown = await connection.mkdir(path).then(
    () => undefined,
    (error) => error,
  )
  await checkOwn(connection, path, at).catch((error) => {
    throw failure !== undefined && saysAbsent(error) ? failure : error
  })
}

/** @throws {StorageError} MISCONFIGURED: a link or something else is in the place of a directory of the driver. */
async function checkOwn(connection: Connection, path: string, at: ErrorLocation): Promise<void> {
  const [found, place] = await Promise.all([connection.lstat(path), connection.realpath(path)])
  if (!found.isDirectory() || place !== path) throw notOwn(path, at)
}

/** The error if something foreign is in the place of the driver's own directory. */
export function notOwn(path: string, at: ErrorLocation): StorageError {
  const detail = `${path} is not the driver's own directory: a link or a file has taken its place`
  return new StorageError('MISCONFIGURED', at, { detail })
}

/**
 * The identity of a root.
 *
 * @param own `.stored`, free of links.
 * @returns `null` if there is none yet.
 * @throws {StorageError} MISCONFIGURED: the file was not written by this driver. The error shows nothing of it.
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

/**
 * The content of the marker; empty unless it is a plain file of the right length. @throws NO_SUCH_FILE if it does not
 * exist.
 */
export async function readMarker(connection: Connection, own: string): Promise<string> {
  const path = join(own, MARKER)
  // Before it is opened: the protocol follows links, and opening a pipe would block the server.
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

/** One of several concurrent writers wins: a name is claimed by a link, or by a rename that does not replace. */
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

/** Creates a directory if there is none. */
export async function makeDirectory(connection: Connection, path: string): Promise<void> {
  try {
    await connection.mkdir(path)
  } catch (error) {
    if (saysAbsent(error)) throw error
    // Some servers answer "permission denied" if it exists.
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
