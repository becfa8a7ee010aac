import { hash, randomBytes } from 'node:crypto'
import { readdir, rm, stat } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type AccessMode, fileMode, SOCKET_MODE } from '@stored/core/files'
import { connectTo, SocketDirectory, type SocketDirectoryOptions } from '@stored/core/processes'
import { Doorbell } from './doorbell.ts'

const NAME = /^syncer-[0-9a-f]{12}\.sock$/
const NAME_BYTES = 'syncer-000000000000.sock'.length
const PIPES = '\\\\.\\pipe'

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

export interface SocketsOptions extends SocketDirectoryOptions {
  /** Who may use the store, and so its sockets where they cannot lie in its directory. @default 0o700 */
  mode?: AccessMode
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
  readonly #short: SocketDirectory | null
  readonly #mode: AccessMode

  static async open(directory: string, { mode = 0o700, ...options }: SocketsOptions = {}): Promise<Sockets> {
    const resolved = path.resolve(directory)
    const { dev, ino } = await stat(resolved, { bigint: true })
    const identity = hash('sha256', `${dev}:${ino}`).slice(0, 16)
    const short = process.platform === 'win32' ? null : await SocketDirectory.open(resolved, NAME_BYTES, options)
    return new Sockets(resolved, identity, short, mode)
  }

  private constructor(directory: string, identity: string, short: SocketDirectory | null, mode: AccessMode) {
    this.#directory = directory
    this.#identity = identity
    this.#short = short
    this.#mode = mode
  }

  /** The store's directory, by a path short enough; `null`: there is none. */
  get #base(): string | null {
    return this.#short?.path ?? null
  }

  /** Listens on a socket with a name nobody had before. */
  async listen(onRing: () => void): Promise<Candidate> {
    const socket = `syncer-${randomBytes(6).toString('hex')}.sock`
    const elsewhere = { socket, under: process.platform === 'win32' ? PIPES : tmpdir() }
    try {
      const address = this.#base === null ? elsewhere : { socket }
      return { address, doorbell: await this.#ring(address, onRing) }
    } catch (error) {
      if (this.#base === null) throw error
      return { address: elsewhere, doorbell: await this.#ring(elsewhere, onRing) }
    }
  }

  /** @returns `null`: whoever listened there is dead, for good: names are not used twice. @throws What tells neither. */
  async connect(address: Address): Promise<Socket | null> {
    try {
      return await connectTo(this.#pathOf(address))
    } catch (error) {
      // It stopped listening between our connection and its answer; now it refuses, unless it is alive after all.
      if ((error as NodeJS.ErrnoException).code === 'ECONNRESET') return connectTo(this.#pathOf(address))
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
    await this.#short?.close()
  }

  #ring(address: Address, onRing: () => void): Promise<Doorbell> {
    const mode = address.under === undefined ? SOCKET_MODE : fileMode(this.#mode)
    return Doorbell.listen(this.#pathOf(address), { onRing, mode })
  }

  #pathOf({ socket, under }: Address): string {
    if (under !== undefined) return path.join(under, `stored-${this.#identity}-${socket}`)
    return path.join(this.#base ?? this.#directory, socket)
  }
}
