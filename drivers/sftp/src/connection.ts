import type net from 'node:net'
import { type ErrorLocation, StorageError } from '@stored/core/backend'
import ssh2, { type FileEntryWithStats, type SFTPWrapper, type Stats } from 'ssh2'
import SftpClient from 'ssh2-sftp-client'
import { prepareKeys } from './ciphers.ts'
import { STATUS, toDialError } from './errors.ts'
import { fingerprintOf, type HostKeys, loadHostKeys } from './host-keys.ts'
import type { Settings } from './options.ts'
import { openSocket } from './socket.ts'

/** How long a server may take to log in, in milliseconds. */
const HANDSHAKE_MS = 20_000
const KEEPALIVE_MS = 15_000
/** After this many unanswered in a row the server counts as dead. */
const KEEPALIVES = 3
/** The packet size that every server accepts, and the most that is worth sending in one, in bytes. */
const PACKET_BYTES = { least: 31 * 1024, most: 255 * 1024 }

/**
 * The most in flight for one blob, in bytes: the window that OpenSSH opens, and we do too. What does not fit in it
 * waits in memory, and costs a third more to send (measured).
 */
const WINDOW_BYTES = 2 << 20

/** The credentials for a login. */
export interface Login {
  readonly password?: string
  readonly privateKey?: string
  readonly passphrase?: string
}

export type Handle = Buffer
export type { FileEntryWithStats, Stats } from 'ssh2'

/** The parts of statvfs that are used. */
export interface FileSystem {
  readonly f_frsize: number
  readonly f_bavail: number
  readonly f_files: number
  readonly f_favail: number
  readonly f_flag: number
}

/** Internals of ssh2: the limits that the server named, or else those of the protocol. */
interface Limits {
  readonly _maxReadLen?: number
  readonly _maxWriteLen?: number
}

/** A callback: `null` and `undefined` mean no error. */
type Answer<T> = (error?: Error | null, value?: T) => void

/** One connection to a server with its SFTP session, shared by any number of requests. */
export class Connection {
  /** The largest read or write in one request, in bytes. */
  readonly readBytes: number
  readonly writeBytes: number
  readonly #client: SftpClient
  readonly #socket: net.Socket
  readonly #sftp: SFTPWrapper
  /** Requests waiting for an answer. ssh2 does not tell all of them if none will come. */
  readonly #waiting = new Set<(error: Error) => void>()
  #lost: Error | undefined
  #users = 0
  #isRetired = false

  constructor(client: SftpClient, socket: net.Socket, sftp: SFTPWrapper) {
    this.#client = client
    this.#socket = socket
    this.#sftp = sftp
    prepareKeys(sftp)
    const { _maxReadLen, _maxWriteLen } = sftp as unknown as Limits
    this.readBytes = Math.min(_maxReadLen ?? PACKET_BYTES.least, PACKET_BYTES.most)
    this.writeBytes = Math.min(_maxWriteLen ?? PACKET_BYTES.least, PACKET_BYTES.most)
    client.on('error', (error: Error) => this.#lose(error))
    sftp.on('error', (error: Error) => this.#lose(error))
    for (const source of [sftp, socket]) source.on('close', () => this.#lose(new Error('the connection was closed')))
  }

  /** @throws {StorageError} UNAVAILABLE, TIMEOUT, UNAUTHENTICATED or MISCONFIGURED. */
  static async dial(options: Settings, login: Login, signal: AbortSignal, at: ErrorLocation): Promise<Connection> {
    checkPrivateKey(login, at)
    const hostKeys = await loadHostKeys(options, at)
    signal.throwIfAborted()
    const socket = await connect(options, signal, at)
    const client = new SftpClient('stored', {})
    let failure: unknown
    // Before ssh2-sftp-client replaces it with another error, which does not say how far it came.
    client.on('error', (error) => {
      failure ??= error
    })
    try {
      const hostVerifier = verifierOf(hostKeys, options, at, (error) => {
        failure = error
      })
      const { username, agent, host } = options
      const algorithms = hostKeys.algorithms && { serverHostKey: hostKeys.algorithms }
      const sftp = await client.connect({
        sock: socket,
        host,
        username,
        ...login,
        ...(agent !== undefined && { agent }),
        ...(algorithms !== undefined && { algorithms }),
        hostVerifier,
        readyTimeout: HANDSHAKE_MS,
        keepaliveInterval: KEEPALIVE_MS,
        keepaliveCountMax: KEEPALIVES,
      })
      return new Connection(client, socket, sftp)
    } catch (error) {
      socket.destroy()
      throw toDialError(signal.aborted ? signal.reason : (failure ?? error), at)
    }
  }

  /** How many requests of this many bytes are worth having in flight for one blob. */
  static requestsOf(bytes: number, most: number): number {
    return Math.min(most, Math.ceil(WINDOW_BYTES / bytes))
  }

  /** Whether no more answers will come. */
  get isLost(): boolean {
    return this.#lost !== undefined
  }

  /** How many operations use it. */
  get users(): number {
    return this.#users
  }

  set users(count: number) {
    this.#users = count
    if (count === 0 && this.#isRetired) this.close()
  }

  /** Closes it after its last user. */
  retire(): void {
    this.#isRetired = true
    if (this.#users === 0) this.close()
  }

  /** Closes it. Requests still waiting get an error. */
  close(): void {
    this.#lose(new Error('the connection was abandoned'))
  }

  open(path: string, flags: 'r' | 'wx'): Promise<Handle> {
    return this.#request((sftp, answer: Answer<Handle>) => sftp.open(path, flags, answer))
  }

  closeHandle(handle: Handle): Promise<void> {
    return this.#request((sftp, answer: Answer<void>) => sftp.close(handle, answer))
  }

  /** @returns The bytes read; 0 at the end of the file. */
  read(handle: Handle, buffer: Buffer, offset: number, length: number, position: number): Promise<number> {
    return this.#request((sftp, answer: Answer<number>) => sftp.read(handle, buffer, offset, length, position, answer))
  }

  /** Copies `bytes` before it returns. */
  write(handle: Handle, bytes: Buffer, position: number): Promise<void> {
    return this.#request((sftp, answer: Answer<void>) => sftp.write(handle, bytes, 0, bytes.length, position, answer))
  }

  fstat(handle: Handle): Promise<Stats> {
    return this.#request((sftp, answer: Answer<Stats>) => sftp.fstat(handle, answer))
  }

  fsync(handle: Handle): Promise<void> {
    return this.#request((sftp, answer: Answer<void>) => sftp.ext_openssh_fsync(handle, answer))
  }

  lstat(path: string): Promise<Stats> {
    return this.#request((sftp, answer: Answer<Stats>) => sftp.lstat(path, answer))
  }

  realpath(path: string): Promise<string> {
    return this.#request((sftp, answer: Answer<string>) => sftp.realpath(path, answer))
  }

  mkdir(path: string): Promise<void> {
    return this.#request((sftp, answer: Answer<void>) => sftp.mkdir(path, answer))
  }

  rmdir(path: string): Promise<void> {
    return this.#request((sftp, answer: Answer<void>) => sftp.rmdir(path, answer))
  }

  unlink(path: string): Promise<void> {
    return this.#request((sftp, answer: Answer<void>) => sftp.unlink(path, answer))
  }

  /** Fails if `to` is taken. */
  rename(from: string, to: string): Promise<void> {
    return this.#request((sftp, answer: Answer<void>) => sftp.rename(from, to, answer))
  }

  /** Replaces what is at `to`, atomically. */
  replace(from: string, to: string): Promise<void> {
    return this.#request((sftp, answer: Answer<void>) => sftp.ext_openssh_rename(from, to, answer))
  }

  /** Fails if `to` is taken. */
  link(from: string, to: string): Promise<void> {
    return this.#request((sftp, answer: Answer<void>) => sftp.ext_openssh_hardlink(from, to, answer))
  }

  statvfs(path: string): Promise<FileSystem> {
    return this.#request((sftp, answer: Answer<FileSystem>) => sftp.ext_openssh_statvfs(path, answer))
  }

  opendir(path: string): Promise<Handle> {
    return this.#request((sftp, answer: Answer<Handle>) => sftp.opendir(path, answer))
  }

  /** @returns Some more entries; `null` at the end. */
  async readdir(handle: Handle): Promise<FileEntryWithStats[] | null> {
    // By handle it is a single request.
    const send = (sftp: SFTPWrapper, answer: Answer<FileEntryWithStats[]>) => sftp.readdir(handle, answer)
    return this.#request(send).catch((error) => {
      if (error.code === STATUS.EOF) return null
      throw error
    })
  }

  #request<T>(send: (sftp: SFTPWrapper, answer: Answer<T>) => unknown): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#lost !== undefined) return reject(lostError(this.#lost))
      this.#waiting.add(reject)
      this.#gather()
      try {
        send(this.#sftp, (error, value) => {
          this.#waiting.delete(reject)
          if (!error) resolve(value as T)
          // Without a status it is not an answer.
          else reject(typeof (error as { code?: unknown }).code === 'number' ? error : lostError(error))
        })
      } catch (error) {
        // ssh2 throws if the server does not offer an extension.
        this.#waiting.delete(reject)
        reject(Object.assign(error as Error, { code: STATUS.OP_UNSUPPORTED }))
      }
    })
  }

  /** ssh2 writes three pieces for every 32 KiB, each of which would be a system call and a packet of its own. */
  #gather(): void {
    this.#socket.cork()
    process.nextTick(() => this.#socket.uncork())
  }

  #lose(cause: Error): void {
    if (this.#lost !== undefined) return
    this.#lost = cause
    for (const reject of this.#waiting) reject(lostError(cause))
    this.#waiting.clear()
    // Says goodbye if it can; what the server does with that does not matter.
    this.#client.end().catch(() => {})
    this.#socket.destroy()
  }
}

function lostError(cause: Error): StorageError {
  return new StorageError(
    'UNAVAILABLE',
    { backend: 'sftp', op: 'request' },
    { cause, detail: 'the connection was lost' },
  )
}

function connect({ host, port }: Settings, signal: AbortSignal, at: ErrorLocation): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = openSocket(host, port, HANDSHAKE_MS)
    const onAbort = () => socket.destroy(signal.reason)
    signal.addEventListener('abort', onAbort)
    socket.once('close', () => signal.removeEventListener('abort', onAbort))
    const fail = (error: unknown) => {
      socket.destroy()
      reject(toDialError(signal.aborted ? signal.reason : error, at))
    }
    socket.once('error', fail)
    socket.once('timeout', () => fail({ level: 'client-timeout' }))
    socket.once('connect', () => {
      socket.setTimeout(0).removeAllListeners('timeout')
      resolve(socket)
    })
  })
}

function verifierOf(
  hostKeys: HostKeys,
  { host, port }: Settings,
  at: ErrorLocation,
  onRefused: (error: StorageError) => void,
): (key: Buffer) => boolean {
  return (key) => {
    if (hostKeys.accepts(key)) return true
    const detail = `${host}:${port} shows the host key ${fingerprintOf(key)}, which is not one of the expected keys`
    onRefused(new StorageError('MISCONFIGURED', at, { detail }))
    return false
  }
}

/** @throws {StorageError} MISCONFIGURED */
function checkPrivateKey({ privateKey, passphrase }: Login, at: ErrorLocation): void {
  if (privateKey === undefined) return
  const parsed = ssh2.utils.parseKey(privateKey, passphrase)
  if (!(parsed instanceof Error)) return
  throw new StorageError('MISCONFIGURED', at, { detail: `the private key cannot be used: ${parsed.message}` })
}
