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
/** Identifies a root. */
export const MARKER = 'root'
/** The length of a marker in bytes, plus one to detect a longer file. */
const MARKER_BYTES = 38
const MARK = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/**
 * Opens the driver's own directory `name` in `parent`.
 *
 * @param missing Whether to create a missing one, durably, or to fail with ENOENT.
 * @throws {StorageError} MISCONFIGURED: a link or something else has its name. Nothing was created.
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
 * Checks again that a directory of the driver is where it was: without `/proc` there is only the path.
 *
 * @throws {StorageError} MISCONFIGURED.
 */
export async function checkHere(own: Held, at: ErrorLocation): Promise<void> {
  if (!(await own.isHere())) throw notOwn(own.path, at)
}

/** The error if something foreign is in the place of the driver's own directory. */
export function notOwn(path: string, at: ErrorLocation, cause?: unknown): StorageError {
  const detail = `${path} is not the driver's own directory: a link or a file has taken its place`
  return new StorageError('MISCONFIGURED', at, { cause, detail })
}

/**
 * The identity of a root.
 *
 * @param own `.stored`.
 * @returns `null` if there is none yet.
 * @throws {StorageError} MISCONFIGURED: the file was not written by this driver. The error shows nothing of it.
 */
export async function markIn(own: Held, at: ErrorLocation): Promise<string | null> {
  try {
    const text = await readMarker(own)
    if (MARK.test(text)) return text
    throw noMark(own, at)
  } catch (error) {
    const code = errnoOf(error)
    if (code === 'ENOENT') return null
    // A link or a socket.
    throw code === 'ELOOP' || code === 'ENXIO' ? noMark(own, at, error) : error
  }
}

/**
 * The content of the marker, if it is a plain file of the right length.
 *
 * @throws ENOENT, ELOOP or ENXIO if it does not exist, is a link, or something else.
 */
export async function readMarker(own: Held): Promise<string> {
  // Neither followed nor waited for: it may be anything.
  const fd = await io.open(own.at(MARKER), O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
  try {
    if (!fs.fstatSync(fd).isFile()) return ''
    const bytes = Buffer.alloc(MARKER_BYTES)
    return bytes.toString('latin1', 0, await io.read(fd, bytes, 0, 0)).trim()
  } finally {
    await io.close(fd)
  }
}

/** One of several concurrent writers wins; each reads the marker again. */
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

/** @returns Whether it was created: something may already have the name. */
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
