import { lstat, readdir, rm } from 'node:fs/promises'
import path from 'node:path'
import type { BlobId } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import { MAX_ENTRIES } from './entries.ts'
import { contentRoot, idOfContent, temporaryRoot } from './paths.ts'

/** A temporary file untouched for this long is abandoned, in milliseconds. */
const ABANDONED_MS = 60 * 60 * 1000
/**
 * How cacache 21 and a large fill name it. The directory is the user's choice: others may keep files in a `tmp` there.
 */
const TEMPORARY = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

interface Found {
  readonly id: BlobId
  readonly size: number
  /** Milliseconds since the epoch. */
  readonly used: number
}

/**
 * The contents of a cache, the longest unused first, by file times. Files beyond the accounting limit are removed on
 * the way.
 */
export async function survey(location: string, signal: AbortSignal): Promise<[BlobId, number][]> {
  const root = contentRoot(location)
  const found: Found[] = []
  for (const first of await namesIn(root)) {
    const add = async (second: string) => {
      const directory = path.join(root, first, second)
      for (const one of await filesIn(directory, first, second)) {
        if (found.length < MAX_ENTRIES) found.push(one)
        else await rm(path.join(directory, one.id.slice(-60)), { force: true })
      }
    }
    signal.throwIfAborted()
    await Promise.all((await namesIn(path.join(root, first))).map(add))
  }
  return found.sort((a, b) => a.used - b.used).map(({ id, size }) => [id, size])
}

/**
 * Removes what a dead process was writing.
 *
 * @throws {StorageError} MISCONFIGURED: a link is in the place of the directory. The cache itself may be behind a link,
 *   but creates none.
 */
export async function sweepTemporaries(location: string): Promise<void> {
  const directory = temporaryRoot(location)
  if ((await lstat(directory).catch(unlessGone))?.isSymbolicLink()) throw behindLink(directory)
  const before = Date.now() - ABANDONED_MS
  for (const name of (await namesIn(directory)).filter((name) => TEMPORARY.test(name))) {
    const file = path.join(directory, name)
    const stat = await lstat(file).catch(unlessGone)
    if (stat?.isFile() && stat.mtimeMs < before) await rm(file, { force: true })
  }
}

function behindLink(directory: string): StorageError {
  const detail = `${directory} is a link: its target does not belong to the read cache, and nothing there is removed`
  return new StorageError('MISCONFIGURED', { op: 'open' }, { detail })
}

async function filesIn(directory: string, first: string, second: string): Promise<Found[]> {
  const found: Found[] = []
  const add = async (name: string) => {
    const id = idOfContent(first, second, name)
    const stat = id && (await lstat(path.join(directory, name)).catch(unlessGone))
    if (id && stat?.isFile()) found.push({ id, size: stat.size, used: stat.mtimeMs })
  }
  await Promise.all((await namesIn(directory)).map(add))
  return found
}

async function namesIn(directory: string): Promise<string[]> {
  return (await readdir(directory).catch(unlessGone)) ?? []
}

/** @returns `null` if it does not exist, or is not a directory. */
function unlessGone(error: unknown): null {
  if (isGone(error)) return null
  throw error
}

export function isGone(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code === 'ENOENT' || code === 'ENOTDIR'
}

/** Resources that this process lacks: the entry may be fine. */
const LACKING: ReadonlySet<string | undefined> = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN', 'EACCES', 'EPERM'])

export function saysNothingOfFile(error: unknown): boolean {
  return LACKING.has((error as NodeJS.ErrnoException).code)
}
