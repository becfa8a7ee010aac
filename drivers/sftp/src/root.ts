import { randomUUID } from 'node:crypto'
import { type ErrorLocation, type LogEvent, StorageError } from '@stored/core/backend'
import type { Connection, Stats } from './connection.ts'
import { STATUS, saysAbsent, statusOf } from './errors.ts'
import { HeldNames, readDirectory } from './held-names.ts'
import { type Medium, probe, UNKNOWN, unlinkIfThere } from './medium.ts'
import { join } from './paths.ts'

/** Enough for a marker, in bytes. */
const MARKER_BYTES = 128

/** The directory that holds the blobs, and `.stored` in it: `tmp` for blobs on their way in, `root` to know it again by. */
export class Root {
  /** Absolute and free of links. */
  readonly path: string
  /** On the same file system as the blobs, so that a rename publishes. */
  readonly tmp: string
  readonly medium: Medium
  /** Written into the marker when the root was made; `undefined` where that was not allowed. */
  readonly id: string | undefined
  #seen: string | undefined

  constructor(path: string, medium: Medium, id: string | undefined, seen: string | undefined) {
    this.path = path
    this.tmp = join(path, '.stored/tmp')
    this.medium = medium
    this.id = id
    this.#seen = seen
  }

  /**
   * Opens the root at `path`; makes it and what belongs in it, but not its parents.
   *
   * @param known The id of the root that lay there before: nothing is made then.
   * @throws {StorageError} UNAVAILABLE: the known one is not there · MISCONFIGURED: it is no directory, nor can it become one.
   */
  static async open(
    connection: Connection,
    path: string,
    known: string | undefined,
    at: ErrorLocation,
    log: (event: LogEvent) => void,
  ): Promise<Root> {
    const real = await findRoot(connection, path, known, at)
    const root = new Root(real, UNKNOWN, undefined, undefined)
    const medium = await root.#prepare(connection, at).catch((error) => {
      if (statusOf(error) !== STATUS.PERMISSION_DENIED) throw error
      log({ level: 'warn', message: 'this account cannot write here' })
      return UNKNOWN
    })
    return root.#identified(connection, medium)
  }

  get #marker(): string {
    return join(this.path, '.stored/root')
  }

  /**
   * Asks whether the root is still there. "No such file" means "no such blob" only then: of a disk that is not mounted it says
   * nothing. Neither does a link that took the place of the root, or of a directory above it.
   *
   * @throws {StorageError} UNAVAILABLE.
   */
  async check(connection: Connection, at: ErrorLocation): Promise<void> {
    try {
      const place = await connection.realpath(this.path)
      if (place !== this.path)
        throw new StorageError('UNAVAILABLE', at, { detail: `the root ${this.path} is behind a link by now: ${place}` })
      if (this.id === undefined) return void (await connection.lstat(this.path))
      const seen = identity(await connection.lstat(this.#marker))
      if (seen === this.#seen) return
      if ((await readMarker(connection, this.#marker)) === this.id) {
        this.#seen = seen
        return
      }
    } catch (cause) {
      if (!saysAbsent(cause)) throw cause
      throw new StorageError('UNAVAILABLE', at, { cause, detail: `the root ${this.path} is not there` })
    }
    throw new StorageError('UNAVAILABLE', at, { detail: `another root is mounted at ${this.path}` })
  }

  /** Whether `path` stands in its directories with this very spelling, where another would be found as well. */
  async isSpelled(connection: Connection, path: string, at: ErrorLocation, signal: AbortSignal): Promise<boolean> {
    if (this.medium.caseSensitive && !this.medium.normalizes) return true
    for (let place = path; place !== this.path; place = parentOf(place)) {
      const entries = await readDirectory(connection, parentOf(place), new HeldNames(at), signal)
      if (!entries.some(({ filename }) => join(parentOf(place), filename) === place)) return false
    }
    return true
  }

  async #prepare(connection: Connection, at: ErrorLocation): Promise<Medium> {
    await makeDirectory(connection, join(this.path, '.stored'))
    await makeDirectory(connection, this.tmp)
    await checkOwn(connection, this.tmp, at)
    const medium = await probe(connection, this.tmp)
    if (!(await isThere(connection, this.#marker))) await writeMarker(connection, this, medium)
    return medium
  }

  async #identified(connection: Connection, medium: Medium): Promise<Root> {
    try {
      const id = await readMarker(connection, this.#marker)
      return new Root(this.path, medium, id, identity(await connection.lstat(this.#marker)))
    } catch (error) {
      if (medium !== UNKNOWN || statusOf(error) === undefined) throw error
      return this
    }
  }
}

/** The directory of a path. */
export function parentOf(path: string): string {
  return path.slice(0, Math.max(1, path.lastIndexOf('/')))
}

async function findRoot(
  connection: Connection,
  path: string,
  known: string | undefined,
  at: ErrorLocation,
): Promise<string> {
  if (known === undefined) await makeDirectory(connection, path).catch((cause) => refuseRoot(path, cause, at))
  else if (!(await isThere(connection, join(path, '.stored/root'))))
    throw new StorageError('UNAVAILABLE', at, { detail: `the root ${path} is not there` })
  // A relative one is made absolute, a link to it is followed, once.
  const real = await connection.realpath(path)
  if (!(await connection.lstat(real)).isDirectory()) refuseRoot(path, undefined, at)
  return real
}

function refuseRoot(path: string, cause: unknown, at: ErrorLocation): never {
  const status = statusOf(cause)
  if (cause !== undefined && status !== STATUS.NO_SUCH_FILE && status !== STATUS.FAILURE) throw cause
  throw new StorageError('MISCONFIGURED', at, { cause, detail: `${path} is no directory, nor can it become one` })
}

/** Makes a directory where none is. */
async function makeDirectory(connection: Connection, path: string): Promise<void> {
  try {
    await connection.mkdir(path)
  } catch (error) {
    if (saysAbsent(error)) throw error
    // Others answer "permission denied" to what is there already.
    if (!(await isThere(connection, path))) throw error
  }
}

/** @throws {StorageError} MISCONFIGURED when it is behind a link. */
async function checkOwn(connection: Connection, path: string, at: ErrorLocation): Promise<void> {
  if ((await connection.realpath(path)) === path) return
  throw new StorageError('MISCONFIGURED', at, { detail: `${path} is behind a symbolic link` })
}

async function isThere(connection: Connection, path: string): Promise<boolean> {
  try {
    await connection.lstat(path)
    return true
  } catch (error) {
    if (saysAbsent(error)) return false
    throw error
  }
}

async function readMarker(connection: Connection, path: string): Promise<string> {
  const handle = await connection.open(path, 'r')
  try {
    const buffer = Buffer.alloc(MARKER_BYTES)
    return buffer.toString('utf8', 0, await connection.read(handle, buffer, 0, buffer.length, 0)).trim()
  } finally {
    connection.closeHandle(handle).catch(() => {})
  }
}

/** Of several at once one wins: a name is claimed by a link, or by a rename that does not replace. */
async function writeMarker(connection: Connection, root: Root, medium: Medium): Promise<void> {
  const [temp, marker] = [join(root.tmp, randomUUID()), join(root.path, '.stored/root')]
  const handle = await connection.open(temp, 'wx')
  try {
    await connection.write(handle, Buffer.from(`${randomUUID()}\n`), 0)
    if (medium.flushesFiles) await connection.fsync(handle)
    await (medium.hardLinks ? connection.link(temp, marker) : connection.rename(temp, marker)).catch(async (error) => {
      if (!(await isThere(connection, marker))) throw error
    })
  } finally {
    await connection.closeHandle(handle)
    await unlinkIfThere(connection, temp)
  }
}

function identity({ size, mtime, uid, gid }: Stats): string {
  return `${size}-${mtime}-${uid}-${gid}`
}
