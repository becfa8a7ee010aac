import { type ErrorLocation, type LogEvent, StorageError } from '@stored/core/backend'
import type { Connection, Stats } from './connection.ts'
import { STATUS, saysAbsent, statusOf } from './errors.ts'
import { HeldNames, readDirectory } from './held-names.ts'
import { type Medium, probe, UNKNOWN } from './medium.ts'
import { isThere, MARKER, makeDirectory, makeOwn, markIn, readMarker, writeMarker } from './own.ts'
import { join } from './paths.ts'

/** The directory that holds the blobs, with its `.stored`: `tmp` for incoming blobs, `root` to identify it. */
export class Root {
  /** Absolute and free of links. */
  readonly path: string
  /** On the same file system as the blobs, so that a rename publishes. */
  readonly tmp: string
  readonly medium: Medium
  /** Written into the marker when the root was created; `undefined` if that was not allowed. */
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
   * Opens the root at `path`; creates it and its own files, but not its parents.
   *
   * @param known The id of the root that was there before: then nothing is created.
   * @throws {StorageError} UNAVAILABLE: the known one is not there · MISCONFIGURED: it is not a directory, and cannot
   *   become one.
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
    return root.#identified(connection, medium, at)
  }

  get #own(): string {
    return join(this.path, '.stored')
  }

  get #marker(): string {
    return join(this.#own, MARKER)
  }

  /**
   * Checks that the root is still there. Only then does "no such file" mean "no such blob": it proves nothing if the
   * disk is not mounted, or if a link took the place of the root or of a parent.
   *
   * @throws {StorageError} UNAVAILABLE.
   */
  async check(connection: Connection, at: ErrorLocation): Promise<void> {
    try {
      const place = await connection.realpath(this.path)
      if (place !== this.path)
        throw new StorageError('UNAVAILABLE', at, { detail: `the root ${this.path} is now behind a link: ${place}` })
      if (this.id === undefined) return void (await connection.lstat(this.path))
      const seen = identity(await connection.lstat(this.#marker))
      if (seen === this.#seen) return
      if ((await readMarker(connection, this.#own)) === this.id) {
        this.#seen = seen
        return
      }
    } catch (cause) {
      if (!saysAbsent(cause)) throw cause
      throw new StorageError('UNAVAILABLE', at, { cause, detail: `the root ${this.path} is not there` })
    }
    throw new StorageError('UNAVAILABLE', at, { detail: `another root is mounted at ${this.path}` })
  }

  /** Whether `path` has exactly this spelling in its directories, on a medium that would also find another. */
  async isSpelled(connection: Connection, path: string, at: ErrorLocation, signal: AbortSignal): Promise<boolean> {
    if (this.medium.caseSensitive && !this.medium.normalizes) return true
    for (let place = path; place !== this.path; place = parentOf(place)) {
      const entries = await readDirectory(connection, parentOf(place), new HeldNames(at), signal)
      if (!entries.some(({ filename }) => join(parentOf(place), filename) === place)) return false
    }
    return true
  }

  /** Checks what exists before it creates anything. */
  async #prepare(connection: Connection, at: ErrorLocation): Promise<Medium> {
    await makeOwn(connection, this.#own, at)
    const found = await markIn(connection, this.#own, at)
    await makeOwn(connection, this.tmp, at)
    const medium = await probe(connection, this.tmp)
    if (found === null) await writeMarker(connection, this.#own, this.tmp, medium)
    return medium
  }

  async #identified(connection: Connection, medium: Medium, at: ErrorLocation): Promise<Root> {
    try {
      const id = await markIn(connection, this.#own, at)
      if (id === null) return this
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
  // A relative path is made absolute, and a link to it is followed once.
  const real = await connection.realpath(path)
  if (!(await connection.lstat(real)).isDirectory()) refuseRoot(path, undefined, at)
  return real
}

function refuseRoot(path: string, cause: unknown, at: ErrorLocation): never {
  const status = statusOf(cause)
  if (cause !== undefined && status !== STATUS.NO_SUCH_FILE && status !== STATUS.FAILURE) throw cause
  throw new StorageError('MISCONFIGURED', at, { cause, detail: `${path} is not a directory, and cannot become one` })
}

/** Changes when something else takes its place. */
function identity(stats: Stats): string {
  const { size, mtime, uid, gid } = stats
  return stats.isFile() ? `${size}-${mtime}-${uid}-${gid}` : 'no file'
}
