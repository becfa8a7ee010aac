import { hash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type FileHandle, open, readdir, rm, stat } from 'node:fs/promises'
import { createConnection, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Doorbell } from './doorbell.ts'

/** Of a socket's path, in bytes. @see unix(7), sun_path; 104 with its NUL on macOS and the BSDs */
const MAX_PATH_BYTES = process.platform === 'linux' ? 107 : 103
const NAME = /^syncer-[0-9a-f]{12}\.sock$/
const PIPES = '\\\\.\\pipe'
/** Nobody listens there, and nobody will: names are not used twice. */
const DEAD = new Set(['ENOENT', 'ECONNREFUSED', 'ENOTSOCK'])

/** A socket that somebody listens on. */
export interface Candidate {
  readonly address: Address
  readonly doorbell: Doorbell
}

/** Where a socket lies, as processes of the same store understand it. */
export interface Address {
  readonly socket: string
  /** A directory that is not the store's, for sockets that cannot lie there. */
  readonly under?: string
}

export interface SocketsOptions {
  /** Where the system shows descriptors as paths. @default '/proc/self/fd' */
  descriptors?: string
}

/**
 * The sockets of one store. They lie in its directory, so that whoever can open the store finds them, from whatever container.
 *
 * A path too long for a socket is gone about through a descriptor of the directory (`/proc/self/fd/<n>/<name>`), on Linux.
 * Elsewhere, and on file systems that hold no sockets, they lie in the directory for temporary files (on Windows: they are
 * named pipes), under a name made of the store directory's identity: a copy of a store does not find the original's.
 */
export class Sockets {
  readonly #directory: string
  readonly #identity: string
  /** The store's directory, by a path short enough; `null`: there is none. */
  readonly #base: string | null
  readonly #handle: FileHandle | null

  static async open(directory: string, { descriptors = '/proc/self/fd' }: SocketsOptions = {}): Promise<Sockets> {
    const resolved = path.resolve(directory)
    const { dev, ino } = await stat(resolved, { bigint: true })
    const identity = hash('sha256', `${dev}:${ino}`).slice(0, 16)
    if (process.platform === 'win32') return new Sockets(resolved, identity, null, null)
    if (fits(resolved)) return new Sockets(resolved, identity, resolved, null)
    const handle = await open(resolved)
    const base = path.join(descriptors, String(handle.fd))
    if (await stat(base).catch(() => null)) return new Sockets(resolved, identity, base, handle)
    await handle.close()
    return new Sockets(resolved, identity, null, null)
  }

  private constructor(directory: string, identity: string, base: string | null, handle: FileHandle | null) {
    this.#directory = directory
    this.#identity = identity
    this.#base = base
    this.#handle = handle
  }

  /** Listens on a socket with a name nobody had before. */
  async listen(onRing: () => void): Promise<Candidate> {
    const socket = `syncer-${randomBytes(6).toString('hex')}.sock`
    const elsewhere = { socket, under: process.platform === 'win32' ? PIPES : tmpdir() }
    try {
      const address = this.#base === null ? elsewhere : { socket }
      return { address, doorbell: await Doorbell.listen(this.#pathOf(address), onRing) }
    } catch (error) {
      if (this.#base === null) throw error
      return { address: elsewhere, doorbell: await Doorbell.listen(this.#pathOf(elsewhere), onRing) }
    }
  }

  /** @returns `null`: whoever listened there is dead. @throws What tells neither. */
  async connect(address: Address): Promise<Socket | null> {
    try {
      return await this.#connect(address)
    } catch (error) {
      // It stopped listening between our connection and its answer; now it refuses, unless it is alive after all.
      if ((error as NodeJS.ErrnoException).code === 'ECONNRESET') return this.#connect(address)
      throw error
    }
  }

  /**
   * Removes what processes that were killed left behind. Who listens is alive, also one that is about to lead.
   *
   * @param own Left alone: to be connected to, and left, counts as a ring.
   */
  async sweep(own?: Address, former?: Address): Promise<void> {
    if (process.platform === 'win32') return // A pipe goes with its process.
    const names = this.#base === null ? [] : await readdir(this.#base)
    const addresses: Address[] = names
      .filter((name) => NAME.test(name) && name !== own?.socket)
      .map((socket) => ({ socket }))
    if (former?.under) addresses.push(former)
    for (const address of addresses) {
      const socket = await this.connect(address)
      if (socket) socket.destroy()
      else await rm(this.#pathOf(address), { force: true })
    }
  }

  async close(): Promise<void> {
    await this.#handle?.close()
  }

  async #connect(address: Address): Promise<Socket | null> {
    const socket = createConnection(this.#pathOf(address))
    try {
      await once(socket, 'connect')
      return socket
    } catch (error) {
      if (DEAD.has((error as NodeJS.ErrnoException).code ?? '')) return null
      throw error
    }
  }

  #pathOf({ socket, under }: Address): string {
    if (under !== undefined) return path.join(under, `stored-${this.#identity}-${socket}`)
    return path.join(this.#base ?? this.#directory, socket)
  }
}

function fits(directory: string): boolean {
  return Buffer.byteLength(path.join(directory, 'syncer-000000000000.sock')) <= MAX_PATH_BYTES
}
