import { type ErrorLocation, StorageError } from '@stored/core/backend'
import type { Connection, Stats } from './connection.ts'
import { flush, inDirectory, isInPlace } from './directories.ts'
import { STATUS, saysAbsent, statusOf } from './errors.ts'
import { makeEntry } from './names.ts'
import { parentOf, type Root } from './root.ts'
import type { Temp } from './temp.ts'

/** A bit of `f_flag` in a response to `statvfs@openssh.com`. */
const READ_ONLY = 1

export interface Publication {
  readonly connection: Connection
  readonly root: Root
  readonly at: ErrorLocation
  readonly signal: AbortSignal
  readonly progress: { committing: boolean }
  readonly temp: Temp
  readonly path: string
  readonly ifAbsent: boolean
  readonly fsync: boolean
}

/** Gives the blob its name, durably if the server can. */
export async function publish(publication: Publication): Promise<void> {
  const { connection, root, at, signal, progress, path } = publication
  await inDirectory(connection, root, parentOf(path), at, async () => {
    await checkAlias(publication)
    signal.throwIfAborted()
    progress.committing = true
    await makeEntry({ connection, root, at, path, source: publication.temp.path }, () => name(publication)).catch(
      (error) => {
        // An answer, unlike a broken connection, leaves no doubt.
        progress.committing = connection.isLost
        throw error
      },
    )
  })
  const moved = await whatBecameOf(publication)
  if (moved === null) return
  await root.check(connection, at)
  throw new StorageError('CONFLICT', at, { ambiguous: true, ...moved })
}

/**
 * Flushes the blob's directory. @returns `null` if the blob is there, or what happened to the directory: others may
 * remove or replace it.
 */
async function whatBecameOf(publication: Publication): Promise<{ detail: string; cause?: unknown } | null> {
  const { connection, path } = publication
  try {
    const [inPlace] = await Promise.all([isInPlace(connection, parentOf(path)), flushDirectory(publication)])
    return inPlace ? null : { detail: 'a link replaced its directory during the call' }
  } catch (cause) {
    if (!saysAbsent(cause)) throw cause
    return { detail: 'its directory was removed during the call', cause }
  }
}

async function flushDirectory({ connection, root, at, path, fsync }: Publication): Promise<void> {
  if (!fsync || !root.medium.flushesDirectories) return
  await flush(connection, parentOf(path)).catch((cause) => {
    if (saysAbsent(cause)) throw cause
    throw new StorageError('UNAVAILABLE', at, { cause, ambiguous: true, detail: 'its directory could not be flushed' })
  })
}

/** What is behind the one status that servers have for everything. @returns `error` itself if that remains unknown. */
export async function explainFailure(
  error: unknown,
  { connection, root, at }: Pick<Publication, 'connection' | 'root' | 'at'>,
): Promise<unknown> {
  if (statusOf(error) !== STATUS.FAILURE) return error
  // If it cannot be queried, the first error is all that is known.
  const space = await connection.statvfs(root.path).catch(() => null)
  if (space === null) return error
  if ((space.f_flag & READ_ONLY) !== 0)
    return new StorageError('PERMISSION_DENIED', at, { cause: error, detail: 'the file system is read-only' })
  const isFull = space.f_bavail * space.f_frsize < connection.writeBytes || (space.f_files > 0 && space.f_favail === 0)
  return isFull ? new StorageError('NO_SPACE', at, { cause: error }) : error
}

async function name({ connection, root, at, temp, path, ifAbsent }: Publication): Promise<void> {
  // Only a blob is replaced: anything else is not ours.
  if (!ifAbsent && (await lookUp(connection, path))?.isFile() === false)
    throw new StorageError('KEY_CONFLICT', at, { detail: 'what is there is not a blob' })
  try {
    await (ifAbsent ? temp.claim(path) : temp.replace(path, root))
  } catch (cause) {
    if (statusOf(cause) === undefined || saysAbsent(cause)) throw cause
    const found = await lookUp(connection, path)
    if (found === null || (found.isFile() && !ifAbsent)) throw cause
    throw new StorageError(found.isFile() ? 'ALREADY_EXISTS' : 'KEY_CONFLICT', at, { cause })
  }
}

/** @throws {StorageError} KEY_CONFLICT if a blob exists under a name that the medium treats as the same. */
async function checkAlias({ connection, root, at, path, signal }: Publication): Promise<void> {
  if (root.medium.caseSensitive && !root.medium.normalizes) return
  if ((await lookUp(connection, path)) === null || (await root.isSpelled(connection, path, at, signal))) return
  throw new StorageError('KEY_CONFLICT', at, { detail: 'the medium treats it as the name of another blob' })
}

async function lookUp(connection: Connection, path: string): Promise<Stats | null> {
  return connection.lstat(path).catch((error) => {
    // Creating the blob refuses names that the medium cannot hold.
    if (saysAbsent(error) || statusOf(error) === STATUS.BAD_MESSAGE) return null
    throw error
  })
}
