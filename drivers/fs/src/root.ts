import fs from 'node:fs'
import { basename, dirname } from 'node:path'
import { type ErrorLocation, StorageError } from '@stored/core/backend'
import { errnoError, errnoOf, saysAbsent } from './errors.ts'
import { Held, placeOf, tellsPlaces } from './held.ts'
import { io } from './io.ts'
import { type Medium, probe } from './medium.ts'
import { MARKER, markIn, notOwn, openOwn, readMarker, writeMarker } from './own.ts'
import { Pace } from './pace.ts'
import { join } from './paths.ts'

const { O_DIRECTORY, O_NOFOLLOW, O_RDONLY } = fs.constants
/**
 * Not among Node's constants. Opens files without read permission, and never blocks. @see open(2), asm-generic/fcntl.h
 */
const O_PATH = 0o10000000
/** The driver's own directory below the root, and the one inside it for incoming blobs. */
const OWN = '.stored'
const TMP = 'tmp'

/** The directory that holds the blobs, with its `.stored`: `tmp` for incoming blobs, `root` to identify it. */
export class Root {
  /** Absolute and free of links. */
  readonly path: string
  readonly medium: Medium
  readonly pace: Pace
  /**
   * The last directory on another file system from which a file could not be cloned. A store's staged files are all in
   * one directory.
   */
  apart: string | undefined
  readonly #own: string
  /** Written into the marker when the root was created. */
  readonly id: string
  /** Identifies the marker file. It also changes when the file system is mounted again, unlike the content. */
  #seen: string

  constructor(path: string, medium: Medium, pace: Pace, id: string, seen: string) {
    this.path = path
    this.medium = medium
    this.pace = pace
    this.#own = join(path, OWN)
    this.id = id
    this.#seen = seen
  }

  /**
   * Opens the root at `path`; creates what is missing, durably. Checks what exists before it creates anything.
   *
   * @param known The id of the root that was there before: then nothing is created.
   * @throws {StorageError} UNAVAILABLE: it is not there, its disk may not be mounted · MISCONFIGURED: a link or
   *   something else is in the place of the driver's own files.
   */
  static async open(path: string, known: string | undefined, at: ErrorLocation): Promise<Root> {
    try {
      if (known === undefined) await makeDirectories(path)
      return await Root.#open(await io.realpath(path), known === undefined, at)
    } catch (error) {
      if (known !== undefined && saysAbsent(error)) throw notThere(path, error, at)
      throw error
    }
  }

  static async #open(path: string, mayBeNew: boolean, at: ErrorLocation): Promise<Root> {
    const procfs = await tellsPlaces(path)
    using top = await Held.open(path, procfs)
    using own = await openOwn(top, OWN, mayBeNew ? 'make' : 'fail', at)
    const found = await markIn(own, at)
    if (found === null && !mayBeNew) throw errnoError('ENOENT', join(own.path, MARKER))
    using tmp = await openOwn(own, TMP, 'make', at)
    const medium = { procfs, ...(await probe(tmp)) }
    if (found === null) await writeMarker(own, tmp, medium)
    const id = found ?? (await readMarker(own))
    return new Root(path, medium, await Pace.of(path), id, identity(await io.lstat(own.at(MARKER))))
  }

  /**
   * Checks that the root is still there. Only then does "no such file" mean "no such blob": it proves nothing if the
   * disk is not mounted, or if a link took the place of the root or of a parent.
   *
   * @throws {StorageError} UNAVAILABLE.
   */
  async check(at: ErrorLocation): Promise<void> {
    try {
      const place = await io.realpath(this.path)
      if (place !== this.path)
        throw new StorageError('UNAVAILABLE', at, { detail: `the root ${this.path} is now behind a link: ${place}` })
      const seen = identity(await io.lstat(join(this.#own, MARKER)))
      if (seen === this.#seen) return
      using own = await Held.open(this.#own, this.medium.procfs)
      if ((await readMarker(own)) === this.id) {
        this.#seen = seen
        return
      }
    } catch (cause) {
      if (!saysAbsent(cause)) throw cause
      throw notThere(this.path, cause, at)
    }
    throw new StorageError('UNAVAILABLE', at, { detail: `another root is mounted at ${this.path}` })
  }

  /** Opens the directory at `path`. @throws ELOOP if a link on the way led elsewhere, ENOTDIR for another spelling. */
  async openDirectory(path: string): Promise<Held> {
    const held = await Held.open(path, this.medium.procfs, this.pace)
    try {
      await this.checkSpelling(path)
      return held
    } catch (error) {
      held[Symbol.dispose]()
      throw error
    }
  }

  /**
   * Opens the directory for incoming blobs, on the same file system as the blobs, so that a rename publishes. Recreated
   * if someone removed it.
   *
   * @throws {StorageError} UNAVAILABLE without the root · MISCONFIGURED: a link or a file has taken its place.
   */
  async openTmp(at: ErrorLocation): Promise<Held> {
    const path = join(this.#own, TMP)
    const open = () => Held.open(path, this.medium.procfs, this.pace)
    return open().catch(async (error) => {
      if (!saysAbsent(error)) throw error
      await this.check(at)
      if (errnoOf(error) !== 'ENOENT') throw notOwn(path, at, error)
      // Not the root itself: if it is taken away right now, it must not be recreated.
      using own = await Held.open(this.#own, this.medium.procfs)
      return await openOwn(own, TMP, 'make', at)
    })
  }

  /** The entry at `path` itself. @throws ELOOP if a link on the way leads elsewhere. */
  async lstat(path: string): Promise<fs.BigIntStats> {
    if (!this.medium.procfs) {
      await this.checkPlace(undefined, path)
      const found = await io.lstat(path)
      await this.checkPlace(undefined, path)
      return found
    }
    const fd = await io.open(path, O_PATH | O_NOFOLLOW, undefined, this.pace)
    try {
      await this.checkPlace(fd, path)
      return fs.fstatSync(fd, { bigint: true })
    } finally {
      await io.close(fd, this.pace)
    }
  }

  /**
   * Verifies that the file open as `fd` is at `path` itself.
   *
   * @param fd Not needed without `medium.procfs`.
   * @throws ELOOP if a link on the way led elsewhere, ENOTDIR for another spelling.
   */
  async checkPlace(fd: number | undefined, path: string): Promise<void> {
    await this.checkSpelling(path)
    const place = this.medium.procfs ? placeOf(fd as number) : await io.realpath(path)
    // A file that was replaced after it was opened was there at the time.
    if (place !== path && place !== `${path} (deleted)`) throw errnoError('ELOOP', path)
  }

  /** @throws ENOTDIR, as if it did not exist, if `path` has another case or composition in its directories. */
  async checkSpelling(path: string): Promise<void> {
    if (this.medium.caseSensitive && !this.medium.normalizes) return
    for (let place = path; place !== this.path; place = dirname(place))
      if (!(await io.readdir(dirname(place))).includes(basename(place))) throw errnoError('ENOTDIR', path)
  }
}

/**
 * Makes a directory and its missing parents, and flushes their entries. Does not use `mkdir({ recursive: true })`: in
 * Node.js 24 it never ends where a directory answers every `mkdir` with ENOENT, as autofs and `/proc` do.
 */
async function makeDirectories(path: string): Promise<void> {
  try {
    await makeEntry(path)
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
    await makeDirectories(dirname(path))
    await makeEntry(path)
  }
}

async function makeEntry(path: string): Promise<void> {
  try {
    await io.mkdir(path)
    await flushDirectory(dirname(path))
  } catch (error) {
    // Opening it shows what it is.
    if (errnoOf(error) !== 'EEXIST') throw error
  }
}

async function flushDirectory(path: string): Promise<void> {
  const fd = await io.open(path, O_RDONLY | O_DIRECTORY)
  try {
    await io.fsync(fd)
  } finally {
    await io.close(fd)
  }
}

function notThere(path: string, cause: unknown, at: ErrorLocation): StorageError {
  return new StorageError('UNAVAILABLE', at, { cause, detail: `the root ${path} is not there` })
}

/** An inode alone may be reused by another file or a link. */
function identity({ dev, ino, ctimeNs }: fs.BigIntStats): string {
  return `${dev}-${ino}-${ctimeNs}`
}
