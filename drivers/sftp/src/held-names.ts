import { type ErrorLocation, StorageError } from '@stored/core/backend'
import type { Connection, FileEntryWithStats, Handle } from './connection.ts'

/** At a time, in all directories on the path of a call. */
const MOST_NAMES = 1_000_000
/** All of these together, in characters. */
const MOST_LENGTH = 64 << 20

/** A name in a directory, without OpenSSH's text for people. */
export type Named = Pick<FileEntryWithStats, 'filename' | 'attrs'>

interface Amount {
  readonly count: number
  readonly length: number
}

/** Limits how many names one call holds: a server may have endless directories. */
export class HeldNames {
  readonly #at: ErrorLocation
  /** Earlier values can be restored: directories are left in the reverse order of entering them. */
  amount: Amount = { count: 0, length: 0 }

  constructor(at: ErrorLocation) {
    this.#at = at
  }

  /** @throws {StorageError} MISCONFIGURED */
  add(names: readonly Named[], path: string): void {
    const count = this.amount.count + names.length
    const length = names.reduce((sum, { filename }) => sum + filename.length, this.amount.length)
    this.amount = { count, length }
    if (count <= MOST_NAMES && length <= MOST_LENGTH) return
    const detail = `the server lists more names than fit in memory: ${count} so far, the last in ${JSON.stringify(path)}`
    throw new StorageError('MISCONFIGURED', this.#at, { detail })
  }
}

/**
 * The entries of a directory, in no order.
 *
 * @throws {StorageError} MISCONFIGURED: more than the limit · the reason of `signal`, even if the directory is endless.
 */
export async function readDirectory(
  connection: Connection,
  path: string,
  held: HeldNames,
  signal: AbortSignal,
): Promise<Named[]> {
  return readAll(connection, await connection.opendir(path), path, held, signal)
}

/**
 * The same for the directory at `path` itself; `null` if a link on the way leads elsewhere. The protocol cannot tell
 * where a handle leads, so the path is checked before and after in one batch, which leaves hardly any time to swap it
 * in between and back.
 *
 * @throws NO_SUCH_FILE if it does not exist · what `readDirectory` throws.
 */
export async function readInPlace(
  connection: Connection,
  path: string,
  held: HeldNames,
  signal: AbortSignal,
): Promise<Named[] | null> {
  const [before, opened, after] = await Promise.allSettled([
    connection.realpath(path),
    connection.opendir(path),
    connection.realpath(path),
  ])
  if (opened.status === 'rejected') throw opened.reason
  const isInPlace = [before, after].every((look) => look.status === 'fulfilled' && look.value === path)
  if (isInPlace) return readAll(connection, opened.value, path, held, signal)
  connection.closeHandle(opened.value).catch(() => {})
  for (const look of [before, after]) if (look.status === 'rejected') throw look.reason
  return null
}

async function readAll(
  connection: Connection,
  handle: Handle,
  path: string,
  held: HeldNames,
  signal: AbortSignal,
): Promise<Named[]> {
  const before = held.amount
  const entries: Named[] = []
  try {
    for (let more = await connection.readdir(handle); more !== null; more = await connection.readdir(handle)) {
      // The caller has gone, and left this behind.
      signal.throwIfAborted()
      held.add(more, path)
      for (const { filename, attrs } of more) entries.push({ filename, attrs })
    }
    return entries
  } catch (error) {
    held.amount = before
    throw error
  } finally {
    // The entries have been read.
    connection.closeHandle(handle).catch(() => {})
  }
}
