import { randomUUID } from 'node:crypto'
import fs from 'node:fs'
import { basename, dirname } from 'node:path'
import { type ErrorLocation, StorageError } from '@stored/core/backend'
import { errnoError, errnoOf, saysAbsent } from './errors.ts'
import { io } from './io.ts'
import { type Medium, probe, unlinkIfThere } from './medium.ts'
import { Pace } from './pace.ts'
import { join } from './paths.ts'

const { O_DIRECTORY, O_NOFOLLOW, O_RDONLY } = fs.constants
/** Not among Node's constants. Opens what may not be read, and waits for nothing. @see open(2), asm-generic/fcntl.h */
const O_PATH = 0o10000000

/** The directory that holds the blobs, and `.stored` in it: `tmp` for blobs on their way in, `root` to know it again by. */
export class Root {
  /** Absolute and free of links. */
  readonly path: string
  /** On the same file system as the blobs, so that a rename publishes. */
  readonly tmp: string
  readonly medium: Medium
  readonly pace: Pace
  readonly #marker: string
  /** Written into the marker when the root was made. */
  readonly id: string
  /** Device and inode of the marker: they may change when the file system is mounted again, its content does not. */
  #seen: string

  constructor(path: string, medium: Medium, pace: Pace, id: string, seen: string) {
    this.path = path
    this.tmp = join(path, '.stored/tmp')
    this.medium = medium
    this.pace = pace
    this.#marker = join(path, '.stored/root')
    this.id = id
    this.#seen = seen
  }

  /**
   * Opens the root at `path`; makes what is missing, durably.
   *
   * @param known The id of the root that lay there before: nothing is made then.
   * @throws {StorageError} UNAVAILABLE: it is not there. Its disk may not be mounted.
   */
  static async open(path: string, known?: string): Promise<Root> {
    if (known === undefined) await makeDirectories(path)
    else await expectMarker(join(path, '.stored/root'), path)
    const real = await io.realpath(path)
    const tmp = join(real, '.stored/tmp')
    await makeDirectories(tmp)
    if ((await io.realpath(tmp)) !== tmp) throw errnoError('ELOOP', tmp)
    const marker = join(real, '.stored/root')
    const medium = await probe(tmp)
    const id = await readMarker(marker).catch(async (error) => {
      if (errnoOf(error) !== 'ENOENT') throw error
      await writeMarker(marker, join(tmp, randomUUID()), medium)
      return await readMarker(marker)
    })
    return new Root(real, medium, await Pace.of(real), id, identity(await io.lstat(marker)))
  }

  /**
   * Asks whether the root is still there. "No such file" means "no such blob" only then: of a disk that is not mounted it
   * says nothing. Neither does a link that took the place of the root, or of a directory above it.
   *
   * @throws {StorageError} UNAVAILABLE.
   */
  async check(at: ErrorLocation): Promise<void> {
    try {
      const place = await io.realpath(this.path)
      if (place !== this.path)
        throw new StorageError('UNAVAILABLE', at, { detail: `the root ${this.path} is behind a link by now: ${place}` })
      const seen = identity(await io.lstat(this.#marker))
      if (seen === this.#seen) return
      if ((await readMarker(this.#marker)) === this.id) {
        this.#seen = seen
        return
      }
    } catch (cause) {
      if (!saysAbsent(cause)) throw cause
      throw new StorageError('UNAVAILABLE', at, { cause, detail: `the root ${this.path} is not there` })
    }
    throw new StorageError('UNAVAILABLE', at, { detail: `another root is mounted at ${this.path}` })
  }

  /** Opens the directory at `path`. @throws ELOOP when a link on the way led elsewhere, ENOTDIR for another spelling. */
  async openDirectory(path: string): Promise<number> {
    const fd = await io.open(path, O_RDONLY | O_DIRECTORY, undefined, this.pace)
    try {
      await this.checkSpelling(path)
      this.#compare(this.medium.procfs ? this.placeOf(fd) : await io.realpath(path), path)
      return fd
    } catch (error) {
      await io.close(fd)
      throw error
    }
  }

  /**
   * Where what is open as `fd` lies, by its descriptor: only with `medium.procfs`. Synchronous, since the kernel makes the
   * answer up from memory, while the threads may all be busy flushing.
   */
  placeOf(fd: number): string {
    return fs.readlinkSync(`/proc/self/fd/${fd}`)
  }

  /** What lies at `path` itself. @throws ELOOP when a link on the way leads elsewhere. */
  async lstat(path: string): Promise<fs.BigIntStats> {
    if (!this.medium.procfs) {
      await this.checkPlace(undefined, path)
      return await io.lstat(path)
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
   * Makes sure that the file open as `fd` lies at `path` itself.
   *
   * @param fd Not needed without `medium.procfs`.
   * @throws ELOOP when a link on the way led elsewhere, ENOTDIR for another spelling.
   */
  async checkPlace(fd: number | undefined, path: string): Promise<void> {
    await this.checkSpelling(path)
    this.#compare(this.medium.procfs ? this.placeOf(fd as number) : await io.realpath(path), path)
  }

  /** @throws ENOTDIR, as if it were not there, when `path` stands in its directories in other case or composition. */
  async checkSpelling(path: string): Promise<void> {
    if (this.medium.caseSensitive && !this.medium.normalizes) return
    for (let place = path; place !== this.path; place = dirname(place))
      if (!(await io.readdir(dirname(place))).includes(basename(place))) throw errnoError('ENOTDIR', path)
  }

  /** The path of `name` in the directory open as `fd`: where that can be said, in this very directory, wherever it is now. */
  inside(fd: number, directory: string, name: string): string {
    return this.medium.procfs ? `/proc/self/fd/${fd}/${name}` : join(directory, name)
  }

  #compare(place: string, path: string): void {
    // What was replaced since it was opened is still what lay there.
    if (place !== path && place !== `${path} (deleted)`) throw errnoError('ELOOP', path)
  }
}

/** Makes a directory and its missing parents, and flushes their entries. */
async function makeDirectories(path: string): Promise<void> {
  const first = await io.mkdir(path, { recursive: true })
  if (first === undefined) return
  for (let made = path; made.length >= first.length; made = dirname(made)) await flushDirectory(dirname(made))
}

async function flushDirectory(path: string): Promise<void> {
  const fd = await io.open(path, O_RDONLY | O_DIRECTORY)
  try {
    await io.fsync(fd)
  } finally {
    await io.close(fd)
  }
}

/** @throws {StorageError} UNAVAILABLE. */
async function expectMarker(marker: string, root: string): Promise<void> {
  try {
    await readMarker(marker)
  } catch (cause) {
    if (!saysAbsent(cause)) throw cause
    throw new StorageError('UNAVAILABLE', { op: 'open' }, { cause, detail: `the root ${root} is not there` })
  }
}

async function readMarker(marker: string): Promise<string> {
  return (await io.readFile(marker, 'utf8')).trim()
}

/** Of several at once one wins; each reads again what the marker says. */
async function writeMarker(marker: string, temp: string, { hardLinks }: Medium): Promise<void> {
  const fd = await io.open(temp, 'wx')
  try {
    await io.write(fd, Buffer.from(`${randomUUID()}\n`), 0)
    await io.fsync(fd)
    if (!hardLinks) return await io.rename(temp, marker)
    await io.link(temp, marker).catch((error) => {
      if (errnoOf(error) !== 'EEXIST') throw error
    })
  } finally {
    await io.close(fd)
    await unlinkIfThere(temp)
  }
  await flushDirectory(dirname(marker))
}

function identity({ dev, ino }: fs.BigIntStats): string {
  return `${dev}-${ino}`
}
