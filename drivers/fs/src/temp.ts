import { randomUUID } from 'node:crypto'
import fs from 'node:fs'
import { type ErrorLocation, StorageError } from '@stored/core/backend'
import { errnoOf, saysAbsent } from './errors.ts'
import { io } from './io.ts'
import { unlinkIfThere } from './medium.ts'
import type { Pace } from './pace.ts'
import { join } from './paths.ts'
import type { Root } from './root.ts'

const { COPYFILE_EXCL, COPYFILE_FICLONE_FORCE, O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = fs.constants
const MODE = 0o666
/** What is written without a thread, in bytes: into memory, at some GB/s. */
const SMALL_BYTES = 64 * 1024

/** The temporary files of this process that are in use, whichever instance they belong to. */
const live = new Set<string>()

/** A blob on its way in. Disposed unpublished, it is gone. */
export class Temp implements AsyncDisposable {
  readonly path: string
  readonly fd: number
  /** Whether it holds the bytes of the source already. */
  readonly isClone: boolean
  readonly #pace: Pace
  #published = false

  private constructor(path: string, fd: number, isClone: boolean, pace: Pace) {
    this.path = path
    this.fd = fd
    this.isClone = isClone
    this.#pace = pace
  }

  /** @param source A file to share the blocks of, where the medium can do that. */
  static async create(root: Root, at: ErrorLocation, source?: string): Promise<Temp> {
    // Of fixed length: the key may already fill NAME_MAX.
    const path = join(root.tmp, randomUUID())
    live.add(path)
    try {
      const isClone = source !== undefined && root.medium.reflinks && (await clone(source, path))
      const fd = isClone ? await io.open(path, O_WRONLY | O_NOFOLLOW) : await createFile(root, path, at)
      return new Temp(path, fd, isClone, root.pace)
    } catch (error) {
      live.delete(path)
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
    live.delete(this.path)
  }
}

/**
 * Removes the temporary files that nobody here uses and that are at least so old: of a process that died, as a rule.
 *
 * @returns How many.
 */
export async function sweepTemps(root: Root, olderThanMs: number, signal: AbortSignal): Promise<number> {
  let swept = 0
  for (const name of await readTemps(root)) {
    signal.throwIfAborted()
    const path = join(root.tmp, name)
    if (!live.has(path) && (await isOld(path, olderThanMs)) && (await unlinkIfThere(path))) swept++
  }
  return swept
}

async function readTemps(root: Root): Promise<string[]> {
  try {
    return await io.readdir(root.tmp)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return []
    throw error
  }
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

async function createFile(root: Root, path: string, at: ErrorLocation): Promise<number> {
  const open = () => io.open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, MODE, root.pace)
  return open().catch(async (error) => {
    if (!saysAbsent(error)) throw error
    await root.check(at)
    if (errnoOf(error) !== 'ENOENT')
      throw new StorageError('MISCONFIGURED', at, { cause: error, detail: `${root.tmp} is no directory of its own` })
    // Not the root itself: taken away in this moment, it must not be made anew. A put that overtakes us made it.
    await io.mkdir(root.tmp).catch((cause) => {
      if (errnoOf(cause) !== 'EEXIST') throw cause
    })
    return open()
  })
}

/** @returns `false` when the blocks cannot be shared, as between file systems; nothing is left then. */
async function clone(source: string, path: string): Promise<boolean> {
  try {
    await io.copyFile(source, path, COPYFILE_EXCL | COPYFILE_FICLONE_FORCE)
  } catch {
    // Why does not matter: the bytes are then copied, and what is wrong with the source or the medium comes up there.
    return false
  }
  // It took over the mode of its source.
  await io.chmod(path, MODE & ~process.umask())
  return true
}
