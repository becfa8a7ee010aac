import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readdir, rename, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import path from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { mapErrno, StorageError } from '@stored/core/backend'
import { SOCKET_MODE, setMode } from '@stored/core/files'
import { connectTo, lifeOf, type ProcessIdentity, SocketDirectory, THIS_PROCESS } from '@stored/core/processes'

const NAME = /^open-(\d*)-(\d+)-(\d*)-([0-9a-f]{12})\.sock(\.new)?$/
/** Ends the name of one that may not be listened on yet. */
const NEW = '.new'
/** An inode of 10 digits, a pid of 7, a start of 15. */
const NAME_BYTES = 'open----.sock'.length + 10 + 7 + 15 + 12 + NEW.length
/** Two that start at the same moment refuse each other, and each then waits for some other while. */
const TRIES = 6
const MAX_WAIT_MS = 100
/** A file system that holds no sockets. */
const NO_SOCKETS: ReadonlySet<string | undefined> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'])

export interface OpenerOptions {
  /** @default this process */
  readonly self?: Process
}

/**
 * Says that a process has a store open, so that processes in other PID namespaces keep away.
 *
 * LMDB's locks do not work between PID namespaces, where threads have the same number: of two processes with one pid the second
 * gets no place in the table of readers; and a process that is killed as it waits for the lock of a commit frees it for everybody
 * when the thread that holds it has its number, so that two commit at once (measured). Containers number their threads alike.
 *
 * It is a socket in the store's directory that tells, since that is seen from every container, and ends with its process. It gets
 * its name once it listens: whoever is refused there knows that the process is dead.
 */
export class Opener {
  readonly #directory: SocketDirectory | null
  readonly #server: Server | null
  readonly #file: string | null

  /**
   * @throws {StorageError} CONFLICT: a process in another PID namespace has the store open, or another thread of this process.
   */
  static async register(directory: string, { self = THIS_PROCESS }: OpenerOptions = {}): Promise<Opener> {
    // Elsewhere there are no PID namespaces.
    if (process.platform !== 'linux') return new Opener(null, null, null)
    for (let tries = 1; ; tries++) {
      const opener = await Opener.#listen(directory, self)
      try {
        await opener.#lookAround(self)
        return opener
      } catch (error) {
        await opener.close()
        if (tries === TRIES || !StorageError.is(error) || error.code !== 'CONFLICT') throw error
      }
      await setTimeout(Math.random() * MAX_WAIT_MS)
    }
  }

  static async #listen(directory: string, self: Process): Promise<Opener> {
    const sockets = await SocketDirectory.open(directory, NAME_BYTES)
    if (sockets.path === null) return new Opener(sockets, null, null)
    // Once refused, a name is dead for good: it is removed, and must not be used again.
    const file = path.join(sockets.path, nameOf(self, randomBytes(6).toString('hex')))
    const server = createServer((socket) => socket.destroy()).unref()
    try {
      server.listen({ path: file + NEW, exclusive: true })
      await once(server, 'listening')
      server.on('error', () => {}) // Of one connection that was not accepted.
      await setMode(file + NEW, SOCKET_MODE)
      await rename(file + NEW, file)
      return new Opener(sockets, server, file)
    } catch (error) {
      server.close()
      if (NO_SOCKETS.has((error as NodeJS.ErrnoException).code)) return new Opener(sockets, null, null)
      await sockets.close()
      throw mapErrno(error, { op: 'open' })
    }
  }

  private constructor(directory: SocketDirectory | null, server: Server | null, file: string | null) {
    this.#directory = directory
    this.#server = server
    this.#file = file
  }

  /** The pids of all processes of this PID namespace that have the store open; `null`: that cannot be known here. */
  async pids(): Promise<ReadonlySet<number> | null> {
    const directory = this.#directory?.path ?? null
    if (directory === null || this.#file === null) return null
    const found = (await readdir(directory)).map(parse)
    return new Set(found.filter((one) => one !== null && lifeOf(one) !== 'dead').map((one) => (one as Found).pid))
  }

  /** @throws {StorageError} The socket could not be removed. It is dead all the same, and the next to open removes it. */
  async close(): Promise<void> {
    try {
      if (this.#file !== null) await rm(this.#file, { force: true })
    } catch (error) {
      throw mapErrno(error, { op: 'close' })
    } finally {
      await new Promise<void>((resolve) => (this.#server ? this.#server.close(() => resolve()) : resolve()))
      await this.#directory?.close()
    }
  }

  /** Removes what the dead left behind. @throws {StorageError} CONFLICT */
  async #lookAround(self: Process): Promise<void> {
    const directory = this.#directory?.path ?? null
    for (const name of directory === null ? [] : await readdir(directory)) {
      const other = parse(name)
      const file = path.join(directory as string, name)
      if (other === null || file === this.#file) continue
      if (!(await isAlive(file, other))) await rm(file, { force: true })
      else if (!other.isNew && !mayShare(other, self)) throw inTheWay(other, self)
    }
  }
}

type Process = Omit<ProcessIdentity, 'token'>

interface Found extends Process {
  readonly isNew: boolean
}

function nameOf({ namespace, pid, start }: Process, token: string): string {
  return `open-${namespace}-${pid}-${start}-${token}.sock`
}

function parse(name: string): Found | null {
  const match = NAME.exec(name)
  if (!match) return null
  const [, namespace = '', pid, start = '', , ending] = match
  return { namespace, pid: Number(pid), start, isNew: ending === NEW }
}

async function isAlive(file: string, other: Found): Promise<boolean> {
  const life = lifeOf(other)
  if (life !== 'unknown' || other.isNew) return life !== 'dead'
  try {
    const socket = await connectTo(file)
    socket?.destroy()
    return socket !== null
  } catch {
    // Not to be asked by this user, or too busy.
    return true
  }
}

function mayShare(other: Process, self: Process): boolean {
  return other.namespace === self.namespace && other.pid !== self.pid
}

function inTheWay(other: Process, self: Process): StorageError {
  const isSelf = other.namespace === self.namespace && other.start === self.start && other.start !== ''
  const detail = isSelf
    ? 'another thread of this process has the store open already'
    : `process ${other.pid} of another PID namespace, such as another container, has the store open; let both share one ` +
      '(docker run --pid=container:NAME; shareProcessNamespace in Kubernetes), or open the store in one of them only'
  return new StorageError('CONFLICT', { op: 'open' }, { detail })
}
