import fs from 'node:fs'
import { basename, dirname } from 'node:path'
import type { ErrorLocation } from '@stored/core/backend'
import { errnoError, errnoOf, saysAbsent } from './errors.ts'
import { Held } from './held.ts'
import { io } from './io.ts'
import { makeEntry, mayBeTheName } from './names.ts'
import type { Root } from './root.ts'

/** How often a directory is made again that others remove at the same time. */
const MAX_ATTEMPTS = 10
/** How many directories are remembered as durable before all are forgotten. */
const MAX_REMEMBERED = 10_000

/** A directory below the root, open and known not to be behind a link, and shared by those who write there. */
export class Directory extends Held {
  readonly #fsync: boolean
  #running: Promise<void> | undefined
  #next: Promise<void> | undefined

  constructor({ path, fd, procfs }: Held, fsync: boolean) {
    super(path, fd, procfs)
    this.#fsync = fsync
  }

  /**
   * Flushes the entries. A flush that runs may have missed the caller's: those who come meanwhile share the next one. When
   * one fails, so do all after it, since a second fsync of the same descriptor would report success.
   */
  sync(): Promise<void> {
    if (!this.#fsync) return Promise.resolve()
    this.#next ??= (this.#running ?? Promise.resolve()).then(() => {
      this.#running = this.#next
      this.#next = undefined
      return io.fsync(this.fd)
    })
    return this.#next
  }
}

interface Shared {
  readonly directory: Promise<Directory>
  users: number
}

/**
 * The directories that blobs are being written to or removed from. One is open while it is used and no longer, so that a
 * root can be unmounted, and is shared by those who use it at the same time.
 */
export class Directories {
  readonly #root: Root
  readonly #fsync: boolean
  readonly #shared = new Map<string, Shared>()
  /**
   * By path, which directory it is whose entry in its parent is known to be flushed. Whoever made it, perhaps another
   * process, may not have got to that: a blob in it would be lost with it.
   */
  readonly #durable = new Map<string, string>()

  constructor(root: Root, fsync: boolean) {
    this.#root = root
    this.#fsync = fsync
  }

  /** @throws ENOENT and ENOTDIR when there is none, ELOOP when a link is on the way. */
  async use<T>(path: string, at: ErrorLocation, work: (directory: Directory) => Promise<T>): Promise<T> {
    const joined = this.#shared.get(path)
    const shared = joined ?? { directory: this.#connect(path, at), users: 0 }
    if (joined === undefined) this.#shared.set(path, shared)
    shared.users++
    try {
      const directory = await shared.directory
      // One that was open already may have been moved since.
      if (joined !== undefined && !(await directory.isHere())) throw errnoError('ENOENT', path)
      return await work(directory)
    } catch (error) {
      // It may have been removed, or its fsync have failed: the next caller opens it again.
      this.#unshare(path, shared)
      throw error
    } finally {
      if (--shared.users === 0) {
        this.#unshare(path, shared)
        await shared.directory.then((directory) => directory[Symbol.dispose](), ignore)
      }
    }
  }

  /**
   * Like `use`, and makes the directory, durably, when it is not there. `work` is called again after an ENOENT.
   *
   * @throws {StorageError} INVALID_KEY: the medium cannot hold a directory of this name.
   */
  async ensure<T>(path: string, at: ErrorLocation, work: (directory: Directory) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.use(path, at, work)
      } catch (error) {
        if (!mayBeTheName(error) || attempt === MAX_ATTEMPTS) {
          // What is in the way of the root is in the way of every key: that is no fault of this one.
          if (saysAbsent(error)) await this.#root.check(at)
          throw error
        }
      }
      if (path === this.#root.path) await this.#root.check(at)
      else await this.ensure(dirname(path), at, (parent) => makeEntry(parent, basename(path), at, make))
    }
  }

  /** Removes `path` and its parents, the root apart, as far as they are empty and nobody is about to write there. */
  async prune(path: string, at: ErrorLocation): Promise<void> {
    for (let empty = path; empty !== this.#root.path; empty = dirname(empty)) {
      if (this.#shared.has(empty)) return
      try {
        await this.use(dirname(empty), at, (parent) => io.rmdir(parent.at(basename(empty))))
      } catch {
        // Not empty, as a rule. Whatever else forbids it leaves an empty directory, which no listing shows.
        return
      }
    }
  }

  async #connect(path: string, at: ErrorLocation): Promise<Directory> {
    const held = await this.#root.openDirectory(path)
    try {
      const { dev, ino, birthtimeNs } = fs.fstatSync(held.fd, { bigint: true })
      const identity = `${dev}-${ino}-${birthtimeNs}`
      if (this.#durable.get(path) !== identity) {
        if (path === this.#root.path) await this.#root.check(at)
        else await this.use(dirname(path), at, (parent) => parent.sync())
        if (this.#durable.size >= MAX_REMEMBERED) this.#durable.clear()
        this.#durable.set(path, identity)
      }
      return new Directory(held, this.#fsync)
    } catch (error) {
      held[Symbol.dispose]()
      throw error
    }
  }

  #unshare(path: string, shared: Shared): void {
    if (this.#shared.get(path) === shared) this.#shared.delete(path)
  }
}

async function make(path: string): Promise<void> {
  await io.mkdir(path).catch((error) => {
    if (errnoOf(error) !== 'EEXIST') throw error
  })
  // A dangling link exists too, and would never become a directory.
  if ((await io.lstat(path)).isSymbolicLink()) throw errnoError('ELOOP', path)
}

/** For a failure that was reported where the promise was awaited before. */
function ignore(): void {}
