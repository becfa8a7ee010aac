import { type ErrorLocation, StorageError } from '@stored/core/backend'
import type { Connection, FileEntryWithStats, Handle } from './connection.ts'

/** At a time, in all directories on the way that a call goes. */
const MOST_NAMES = 1_000_000
/** All of these together, in characters. */
const MOST_LENGTH = 64 << 20

/** A name in a directory. What OpenSSH says of it for people is left out. */
export type Named = Pick<FileEntryWithStats, 'filename' | 'attrs'>

interface Amount {
  readonly count: number
  readonly length: number
}

/** How many names one call holds: a server may have directories without end. */
export class HeldNames {
  readonly #at: ErrorLocation
  /** What was held before can be set again: directories are left in the reverse order of entering them. */
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
    const detail = `the server lists more names than can be held: ${count} so far, the last in ${JSON.stringify(path)}`
    throw new StorageError('MISCONFIGURED', this.#at, { detail })
  }
}

/**
 * Everything in a directory, in no order.
 *
 * @throws {StorageError} MISCONFIGURED: more than can be held · the reason of `signal`, also where the directory has no end.
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
 * The same of the directory at `path` itself; `null` when a link on the way leads elsewhere. The protocol has no way to tell where a
 * handle leads: it is looked at before and after, in one go, which leaves next to no time to swap it in between and back.
 *
 * @throws NO_SUCH_FILE when it is not there · what `readDirectory` throws.
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
    // What was read was read.
    connection.closeHandle(handle).catch(() => {})
  }
}
