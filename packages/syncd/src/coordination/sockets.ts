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

/** A socket with a listener. */
export interface Candidate {
  readonly address: Address
  readonly doorbell: Doorbell
}

/** Where a socket is, as processes of the same store understand it. */
export interface Address {
  readonly socket: string
  /** A directory outside the store, for sockets that cannot be in it. */
  readonly under?: string
}

export interface SocketsOptions extends SocketDirectoryOptions {
  /** Who may use the store, and so its sockets if they cannot be in its directory. @default 0o700 */
  mode?: AccessMode
}

/**
 * The sockets of one store. They are in its directory, so that every process that can open the store finds them, from
 * whatever container.
 *
 * On Linux, a path too long for a socket is avoided through a descriptor of the directory (`/proc/self/fd/<n>/<name>`).
 * Elsewhere, and on file systems without sockets, they are in the directory for temporary files (on Windows: they are
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

  /** The store's directory with a path short enough; `null` if there is none. */
  get #base(): string | null {
    return this.#short?.path ?? null
  }

  /** Listens on a socket with a new name. */
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

  /** @returns `null`: the listener is dead for good, since names are not reused. @throws Errors that tell neither. */
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
   * Removes what killed processes left behind. A listener is alive, even one that is about to lead.
   *
   * @param own Left alone: being connected to and left counts as a ring.
   */
  async sweep(own?: Address, former?: Address): Promise<void> {
    if (process.platform === 'win32') return // A pipe ends with its process.
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
