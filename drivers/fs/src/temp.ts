import fs from 'node:fs'
import { dirname } from 'node:path'
import type { ErrorLocation } from '@stored/core/backend'
import { errnoOf } from './errors.ts'
import type { Held } from './held.ts'
import { io } from './io.ts'
import { unlinkIfThere } from './medium.ts'
import { checkHere } from './own.ts'
import type { Pace } from './pace.ts'
import type { Root } from './root.ts'
import { isTemporary, temporaryName } from './temp-names.ts'

const { COPYFILE_EXCL, COPYFILE_FICLONE_FORCE, O_CREAT, O_EXCL, O_NOFOLLOW, O_RDONLY, O_WRONLY } = fs.constants
const MODE = 0o666
/** Writes up to this many bytes go without a thread: into memory, at some GB/s. */
const SMALL_BYTES = 64 * 1024

/** The temporary files of this process that are in use, by any instance. */
const live = new Set<string>()

/** An incoming blob. Disposing it unpublished removes it. */
export class Temp implements AsyncDisposable {
  readonly path: string
  readonly fd: number
  readonly #name: string
  /** Whether it already holds the bytes of the source. */
  readonly isClone: boolean
  readonly #pace: Pace
  #published = false

  private constructor(name: string, path: string, fd: number, isClone: boolean, pace: Pace) {
    this.#name = name
    this.path = path
    this.fd = fd
    this.isClone = isClone
    this.#pace = pace
  }

  /**
   * @param tmp Must stay open as long as this.
   * @param source A file whose blocks to share, if the medium can.
   */
  static async create(tmp: Held, root: Pick<Root, 'medium' | 'pace' | 'apart'>, source?: string): Promise<Temp> {
    const { medium, pace } = root
    const name = temporaryName()
    const path = tmp.at(name)
    live.add(name)
    try {
      const shared = source !== undefined && medium.reflinks ? await clone(source, path, root) : null
      const fd = shared ?? (await io.open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, MODE, pace))
      return new Temp(name, path, fd, shared !== null, pace)
    } catch (error) {
      live.delete(name)
      throw error
    }
  }

  /** Appends the chunks of `source`. */
  async write(source: AsyncIterable<Uint8Array>, onWritten?: (totalBytes: number) => void): Promise<void> {
    let total = 0
    for await (const chunk of source) {
      const pace = chunk.length <= SMALL_BYTES ? this.#pace : undefined
      for (let done = 0; done < chunk.length; ) done += await io.write(this.fd, chunk, done, pace)
      total += chunk.length
      onWritten?.(total)
    }
  }

  /** Never twice: after a failure the kernel may report success for pages that it dropped. */
  async flush(): Promise<void> {
    await io.fdatasync(this.fd)
  }

  /** Replaces what is at `target`, atomically. */
  async replace(target: string): Promise<void> {
    await io.rename(this.path, target, this.#pace)
    this.#published = true
  }

  /** Takes the name `target`, atomically. @throws EEXIST if it is taken. */
  async claim(target: string): Promise<void> {
    await io.link(this.path, target, this.#pace)
    // Now, because it changes the ctime. If it fails, the blob keeps a second name for `sweep` to remove.
    await unlinkIfThere(this.path, this.#pace).catch(() => {})
    this.#published = true
  }

  /** The stat of the written file, also after it was published. */
  stat(): fs.BigIntStats {
    // For an open descriptor the kernel answers from memory, which costs less than a thread.
    return fs.fstatSync(this.fd, { bigint: true })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // It was flushed, or need not be: nothing promised is lost.
    await io.close(this.fd, this.#pace).catch(() => {})
    // A failed put already reports its reason; a leftover is hidden, and swept later.
    if (!this.#published) await unlinkIfThere(this.path).catch(() => {})
    live.delete(this.#name)
  }
}

/**
 * Removes temporary files that are not in use here and are at least this old, usually those of a dead process.
 *
 * @returns How many.
 * @throws {StorageError} MISCONFIGURED: something else has taken the place of the directory. Nothing in it is removed.
 */
export async function sweepTemps(
  tmp: Held,
  olderThanMs: number,
  at: ErrorLocation,
  signal: AbortSignal,
): Promise<number> {
  let swept = 0
  for (const name of await io.readdir(tmp.at('.'))) {
    signal.throwIfAborted()
    const path = tmp.at(name)
    if (!isTemporary(name) || live.has(name) || !(await isOld(path, olderThanMs))) continue
    await checkHere(tmp, at)
    if (await unlinkIfThere(path)) swept++
  }
  return swept
}

async function isOld(path: string, olderThanMs: number): Promise<boolean> {
  try {
    const stat = await io.lstat(path)
    return stat.isFile() && Date.now() - Number(stat.mtimeMs) >= olderThanMs
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false
    throw error
  }
}

/** @returns The descriptor; `null` if the blocks cannot be shared, as between file systems: nothing is left then. */
async function clone(source: string, path: string, root: Pick<Root, 'apart'>): Promise<number | null> {
  if (dirname(source) === root.apart) return null
  try {
    await io.copyFile(source, path, COPYFILE_EXCL | COPYFILE_FICLONE_FORCE)
    return await openClone(path)
  } catch (error) {
    // The reason does not matter: the body is written instead, and any real fault shows there.
    if (errnoOf(error) === 'EXDEV') root.apart = dirname(source)
    await unlinkIfThere(path).catch(() => {})
    return null
  }
}

/** Read-only: it has the mode of its source, which may forbid more, and nothing is written to it. */
async function openClone(path: string): Promise<number> {
  const fd = await io.open(path, O_RDONLY | O_NOFOLLOW)
  try {
    // By descriptor: a name would be followed if a link took its place.
    await io.fchmod(fd, MODE & ~process.umask())
    return fd
  } catch (error) {
    await io.close(fd)
    throw error
  }
}
