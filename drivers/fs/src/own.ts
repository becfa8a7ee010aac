import { randomUUID } from 'node:crypto'
import fs from 'node:fs'
import { type ErrorLocation, StorageError } from '@stored/core/backend'
import { errnoOf } from './errors.ts'
import { Held } from './held.ts'
import { io } from './io.ts'
import { unlinkIfThere } from './medium.ts'
import { join } from './paths.ts'
import { temporaryName } from './temp-names.ts'

const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = fs.constants
/** By which a root is known again. */
export const MARKER = 'root'
/** What a marker takes, and one byte that tells a longer file, in bytes. */
const MARKER_BYTES = 38
const MARK = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/**
 * Opens the directory `name`, which belongs to the driver, in `parent`.
 *
 * @param missing What to do when it is not there: make it, durably, or fail with ENOENT.
 * @throws {StorageError} MISCONFIGURED: a link or something else has its name. Nothing was made.
 */
export async function openOwn(parent: Held, name: string, missing: 'make' | 'fail', at: ErrorLocation): Promise<Held> {
  const path = join(parent.path, name)
  try {
    if (missing === 'make' && (await makeDirectory(parent.at(name)))) await io.fsync(parent.fd)
    return await Held.open(path, parent.procfs)
  } catch (cause) {
    if (errnoOf(cause) !== 'ELOOP' && errnoOf(cause) !== 'ENOTDIR') throw cause
    throw notOwn(path, at, cause)
  }
}

/**
 * Looks again whether a directory of the driver is where it was: without `/proc` a path is all there is.
 *
 * @throws {StorageError} MISCONFIGURED.
 */
export async function checkHere(own: Held, at: ErrorLocation): Promise<void> {
  if (!(await own.isHere())) throw notOwn(own.path, at)
}

/** The error for something foreign where a directory of the driver has to be. */
export function notOwn(path: string, at: ErrorLocation, cause?: unknown): StorageError {
  const detail = `${path} is not the driver's own directory: a link or a file has taken its place`
  return new StorageError('MISCONFIGURED', at, { cause, detail })
}

/**
 * The mark of a root.
 *
 * @param own `.stored`.
 * @returns `null` when there is none yet.
 * @throws {StorageError} MISCONFIGURED: what lies there was not written by this driver. Nothing of it is told.
 */
export async function markIn(own: Held, at: ErrorLocation): Promise<string | null> {
  try {
    const text = await readMarker(own)
    if (MARK.test(text)) return text
    throw noMark(own, at)
  } catch (error) {
    const code = errnoOf(error)
    if (code === 'ENOENT') return null
    // A link; a socket.
    throw code === 'ELOOP' || code === 'ENXIO' ? noMark(own, at, error) : error
  }
}

/**
 * What stands in the marker, as far as it is a plain file that can be one.
 *
 * @throws ENOENT, ELOOP or ENXIO when it is not there, is a link, or something else.
 */
export async function readMarker(own: Held): Promise<string> {
  // Neither followed, nor waited for: what lies there may be anything.
  const fd = await io.open(own.at(MARKER), O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
  try {
    if (!fs.fstatSync(fd).isFile()) return ''
    const bytes = Buffer.alloc(MARKER_BYTES)
    return bytes.toString('latin1', 0, await io.read(fd, bytes, 0, 0)).trim()
  } finally {
    await io.close(fd)
  }
}

/** Of several at once one wins; each reads again what the marker says. */
export async function writeMarker(own: Held, tmp: Held, { hardLinks }: { readonly hardLinks: boolean }): Promise<void> {
  const [temp, marker] = [tmp.at(temporaryName()), own.at(MARKER)]
  const fd = await io.open(temp, 'wx')
  try {
    await io.write(fd, Buffer.from(`${randomUUID()}\n`), 0)
    await io.fsync(fd)
    if (!hardLinks) return await io.rename(temp, marker)
    await io.link(temp, marker).catch((error) => {
      if (errnoOf(error) !== 'EEXIST') throw error
    })
  } finally {
    await io.close(fd)
    await unlinkIfThere(temp)
  }
  await io.fsync(own.fd)
}

/** @returns Whether it was made: something may have the name already. */
async function makeDirectory(path: string): Promise<boolean> {
  try {
    await io.mkdir(path)
    return true
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error
    return false
  }
}

function noMark(own: Held, at: ErrorLocation, cause?: unknown): StorageError {
  const detail = `${join(own.path, MARKER)} was not written by this driver`
  return new StorageError('MISCONFIGURED', at, { cause, detail })
}
