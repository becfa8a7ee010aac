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
/** What is written without a thread, in bytes: into memory, at some GB/s. */
const SMALL_BYTES = 64 * 1024

/** The temporary files of this process that are in use, whichever instance they belong to. */
const live = new Set<string>()

/** A blob on its way in. Disposed unpublished, it is gone. */
export class Temp implements AsyncDisposable {
  readonly path: string
  readonly fd: number
  readonly #name: string
  /** Whether it holds the bytes of the source already. */
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
   * @param tmp Has to stay open as long as this.
   * @param source A file to share the blocks of, where the medium can do that.
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

  /** Appends what `source` yields. */
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

  /** Replaces what is at `target`, in one step. */
  async replace(target: string): Promise<void> {
    await io.rename(this.path, target, this.#pace)
    this.#published = true
  }

  /** Takes the name `target`, in one step. @throws EEXIST when it is taken. */
  async claim(target: string): Promise<void> {
    await io.link(this.path, target, this.#pace)
    // Now, since it changes the ctime. What fails here leaves a second name of the blob, for `sweep`.
    await unlinkIfThere(this.path, this.#pace).catch(() => {})
    this.#published = true
  }

  /** Of what was written, also after it was published. */
  stat(): fs.BigIntStats {
    // From an open descriptor the kernel answers out of memory, for less than a thread costs.
    return fs.fstatSync(this.fd, { bigint: true })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // It was flushed, or need not be: nothing is lost that was promised.
    await io.close(this.fd, this.#pace).catch(() => {})
    // A put that failed says why already; a survivor is hidden, and swept later.
    if (!this.#published) await unlinkIfThere(this.path).catch(() => {})
    live.delete(this.#name)
  }
}

/**
 * Removes the temporary files that nobody here uses and that are at least so old: of a process that died, as a rule.
 *
 * @returns How many.
 * @throws {StorageError} MISCONFIGURED: something else has taken the place of the directory. Nothing of that is removed.
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

/** @returns The descriptor; `null` when the blocks cannot be shared, as between file systems: nothing is left then. */
async function clone(source: string, path: string, root: Pick<Root, 'apart'>): Promise<number | null> {
  if (dirname(source) === root.apart) return null
  try {
    await io.copyFile(source, path, COPYFILE_EXCL | COPYFILE_FICLONE_FORCE)
    return await openClone(path)
  } catch (error) {
    // Why else does not matter: the body is then written, and what is wrong with it or the medium comes up there.
    if (errnoOf(error) === 'EXDEV') root.apart = dirname(source)
    await unlinkIfThere(path).catch(() => {})
    return null
  }
}

/** For reading alone: it took over the mode of its source, which may forbid more, and nothing is written to it. */
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
