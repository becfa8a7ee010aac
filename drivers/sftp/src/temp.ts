import { type ErrorLocation, StorageError } from '@stored/core/backend'
import type { Connection, Handle, Stats } from './connection.ts'
import { saysAbsent } from './errors.ts'
import { HeldNames, readInPlace } from './held-names.ts'
import { unlinkIfThere } from './medium.ts'
import { makeOwn, notOwn } from './own.ts'
import { join } from './paths.ts'
import type { Root } from './root.ts'
import { isTemporary, temporaryName } from './temp-names.ts'

/** The names of the temporary files of this process that are in use, by any instance. */
const live = new Set<string>()

/** An incoming blob. */
export class Temp {
  readonly path: string
  readonly #connection: Connection
  readonly #name: string
  readonly handle: Handle
  #published = false
  #open = true

  private constructor(connection: Connection, name: string, path: string, handle: Handle) {
    this.#connection = connection
    this.#name = name
    this.path = path
    this.handle = handle
  }

  static async create(connection: Connection, root: Root, at: ErrorLocation): Promise<Temp> {
    const name = temporaryName()
    const path = join(root.tmp, name)
    live.add(name)
    try {
      return new Temp(connection, name, path, await createFile(connection, root, path, at))
    } catch (error) {
      live.delete(name)
      throw error
    }
  }

  /** Ends the writing. @throws {StorageError} SIZE_MISMATCH if the server does not hold what it confirmed. */
  async finish(size: number, flush: boolean, at: ErrorLocation): Promise<Stats> {
    const [stats] = await Promise.all([
      this.#connection.fstat(this.handle),
      flush ? this.#connection.fsync(this.handle) : undefined,
    ])
    this.#open = false
    await this.#connection.closeHandle(this.handle)
    if (stats.size === size) return stats
    throw new StorageError('SIZE_MISMATCH', at, { detail: `the server holds ${stats.size} bytes of ${size}` })
  }

  /** Replaces what is at `target`: atomically, if the server can. */
  async replace(target: string, root: Root): Promise<void> {
    if (root.medium.replaces) await this.#connection.replace(this.path, target)
    else await this.#exchange(target, root)
    this.#published = true
  }

  /** Takes the name `target`, atomically. */
  async claim(target: string): Promise<void> {
    await this.#connection.link(this.path, target)
    // If this fails, the blob keeps a second name for `sweep` to remove.
    await unlinkIfThere(this.#connection, this.path).catch(() => {})
    this.#published = true
  }

  /** Removes it if unpublished. @returns The path of what could not be removed because the connection was lost. */
  async dispose(): Promise<string | null> {
    try {
      if (this.#open) this.#connection.closeHandle(this.handle).catch(() => {})
      if (!this.#published) await unlinkIfThere(this.#connection, this.path)
      return null
    } catch {
      // A failed put already reports its reason; a leftover is hidden, and swept later.
      return this.#connection.isLost ? this.path : null
    } finally {
      live.delete(this.#name)
    }
  }

  /** Moves the old blob aside for the exchange, and back if that fails. */
  async #exchange(target: string, root: Root): Promise<void> {
    const taken = await this.#connection.rename(this.path, target).then(
      () => null,
      (error: unknown) => ({ error }),
    )
    if (taken === null) return
    if (saysAbsent(taken.error) || !(await this.#connection.lstat(target)).isFile()) throw taken.error
    const aside = join(root.tmp, temporaryName())
    await this.#connection.rename(target, aside)
    try {
      await this.#connection.rename(this.path, target)
    } catch (error) {
      await this.#connection.rename(aside, target).catch(() => {})
      throw error
    }
    await unlinkIfThere(this.#connection, aside).catch(() => {})
  }
}

/**
 * Removes temporary files that are not in use here and are at least this old by the server's clock, usually those of a
 * dead process.
 *
 * @returns How many.
 * @throws {StorageError} MISCONFIGURED: something else has taken the place of the directory.
 */
export async function sweepTemps(
  connection: Connection,
  root: Root,
  olderThanMs: number,
  at: ErrorLocation,
  signal: AbortSignal,
): Promise<number> {
  const clock = await Temp.create(connection, root, at)
  let swept = 0
  try {
    const now = (await connection.fstat(clock.handle)).mtime
    const isOld = (stats: Stats) => stats.isFile() && (now - stats.mtime) * 1000 >= olderThanMs
    const found = await readInPlace(connection, root.tmp, new HeldNames(at), signal)
    if (found === null) throw await astray(connection, root, at)
    for (const { filename, attrs } of found) {
      signal.throwIfAborted()
      if (!isTemporary(filename) || live.has(filename) || !isOld(attrs)) continue
      const path = join(root.tmp, filename)
      // Again, just before: removal goes by path, and a link may have taken a place on it.
      const [again, place] = await Promise.allSettled([connection.lstat(path), connection.realpath(path)])
      if (again.status !== 'fulfilled' || place.status !== 'fulfilled') continue
      if (place.value !== path || !isOld(again.value)) continue
      if (await unlinkIfThere(connection, path)) swept++
    }
  } finally {
    await clock.dispose()
  }
  return swept
}

async function createFile(connection: Connection, root: Root, path: string, at: ErrorLocation): Promise<Handle> {
  return openNew(connection, root, path, at).catch(async (error) => {
    if (!saysAbsent(error)) throw error
    await root.check(connection, at)
    // Not the root itself: if it is taken away right now, it must not be recreated. Or a concurrent put created it.
    await makeOwn(connection, root.tmp, at)
    return openNew(connection, root, path, at)
  })
}

/** Proves that no link leads there before anything is written. Sent together, so that it is one moment and one path. */
async function openNew(connection: Connection, root: Root, path: string, at: ErrorLocation): Promise<Handle> {
  const [opened, place] = await Promise.allSettled([connection.open(path, 'wx'), connection.realpath(root.tmp)])
  if (opened.status === 'rejected') throw opened.reason
  if (place.status === 'fulfilled' && place.value === root.tmp) return opened.value
  connection.closeHandle(opened.value).catch(() => {})
  await unlinkIfThere(connection, path).catch(() => {})
  throw place.status === 'rejected' ? place.reason : await astray(connection, root, at)
}

/** What blocks the root blocks everything in it. @throws {StorageError} UNAVAILABLE */
async function astray(connection: Connection, root: Root, at: ErrorLocation): Promise<StorageError> {
  await root.check(connection, at)
  return notOwn(root.tmp, at)
}
