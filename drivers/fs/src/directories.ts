import fs from 'node:fs'
import { basename, dirname } from 'node:path'
import type { ErrorLocation } from '@stored/core/backend'
import { errnoError, errnoOf, saysAbsent } from './errors.ts'
import { Held } from './held.ts'
import { io } from './io.ts'
import { makeEntry, mayBeTheName } from './names.ts'
import type { Root } from './root.ts'

/** How often a directory is recreated while others remove it. */
const MAX_ATTEMPTS = 10
/** How many directories are remembered as durable before all are forgotten. */
const MAX_REMEMBERED = 10_000

/** An open directory below the root that is known not to be behind a link. Shared by concurrent writers. */
export class Directory extends Held {
  readonly #fsync: boolean
  #running: Promise<void> | undefined
  #next: Promise<void> | undefined

  constructor({ path, fd, procfs }: Held, fsync: boolean) {
    super(path, fd, procfs)
    this.#fsync = fsync
  }

  /**
   * Flushes the entries. A flush in progress may have missed the caller's entry, so callers that arrive during one
   * share the next. After a failure all later calls fail too, because a second fsync of the same descriptor would
   * report success.
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
 * The directories that blobs are being written to or removed from. Each is open only while in use, so that a root can
 * be unmounted, and is shared by concurrent users.
 */
export class Directories {
  readonly #root: Root
  readonly #fsync: boolean
  readonly #shared = new Map<string, Shared>()
  /**
   * By path, the identity of the directory whose entry in its parent is known to be flushed. Its creator, perhaps
   * another process, may not have flushed it yet, and a blob in it would be lost with it.
   */
  readonly #durable = new Map<string, string>()

  constructor(root: Root, fsync: boolean) {
    this.#root = root
    this.#fsync = fsync
  }

  /** @throws ENOENT and ENOTDIR if there is none, ELOOP if a link is on the way. */
  async use<T>(path: string, at: ErrorLocation, work: (directory: Directory) => Promise<T>): Promise<T> {
    const joined = this.#shared.get(path)
    const shared = joined ?? { directory: this.#connect(path, at), users: 0 }
    if (joined === undefined) this.#shared.set(path, shared)
    shared.users++
    try {
      const directory = await shared.directory
      // If it was already open, it may have been moved since.
      if (joined !== undefined && !(await directory.isHere())) throw errnoError('ENOENT', path)
      return await work(directory)
    } catch (error) {
      // It may have been removed, or its fsync may have failed: the next caller opens it again.
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
   * Like `use`, but creates the directory durably if it does not exist. Calls `work` again after an ENOENT.
   *
   * @throws {StorageError} INVALID_KEY: the medium cannot hold a directory of this name.
   */
  async ensure<T>(path: string, at: ErrorLocation, work: (directory: Directory) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.use(path, at, work)
      } catch (error) {
        if (!mayBeTheName(error) || attempt === MAX_ATTEMPTS) {
          // What blocks the root blocks every key: that is not this key's fault.
          if (saysAbsent(error)) await this.#root.check(at)
          throw error
        }
      }
      if (path === this.#root.path) await this.#root.check(at)
      else await this.ensure(dirname(path), at, (parent) => makeEntry(parent, basename(path), at, make))
    }
  }

  /** Removes `path` and its parents below the root, as far as they are empty and no writer is about to use them. */
  async prune(path: string, at: ErrorLocation): Promise<void> {
    for (let empty = path; empty !== this.#root.path; empty = dirname(empty)) {
      if (this.#shared.has(empty)) return
      try {
        await this.use(dirname(empty), at, (parent) => io.rmdir(parent.at(basename(empty))))
      } catch {
        // Usually it is not empty. Any other failure leaves an empty directory, which no listing shows.
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

/** For an error that was reported where the promise was awaited earlier. */
function ignore(): void {}
