import { execFileSync } from 'node:child_process'
import { appendFile, mkdir, mkdtemp, readFile, rm, statfs, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { offerService, type Service } from '@stored/services'
import type { SftpBackendOptions } from '../src/index.ts'

/** What sshd runs for a key that may only read. */
export const READ_ONLY = 'internal-sftp -R'

/** And for the user nobody: the SFTP server as a program separate from sshd. */
export const NOBODY = 'setpriv --reuid=65534 --regid=65534 --clear-groups /usr/lib/openssh/sftp-server'

/** A private OpenSSH server with its files at hand. */
export class Server implements AsyncDisposable {
  readonly host: string
  readonly port: number
  readonly fingerprint: string
  /** Where its blobs go, locally and remotely. */
  readonly root: string
  readonly #service: Service
  readonly #keys: string

  private constructor(service: Service, keys: string) {
    this.#service = service
    this.#keys = keys
    this.host = this.variable('SFTP_HOST')
    this.port = Number(this.variable('SFTP_PORT'))
    this.fingerprint = this.variable('SFTP_FINGERPRINT')
    this.root = join(this.variable('SFTP_ROOT'), 'ab')
  }

  /** @returns Why there is none, if so. */
  static async offer(): Promise<Server | string> {
    const service = await offerService('sshd')
    return typeof service === 'string' ? service : new Server(service, await mkdtemp(join(tmpdir(), 'driver-sftp-')))
  }

  variable(name: string): string {
    const value = this.#service.env[name]
    if (value === undefined) throw new Error(`sshd.sh does not print ${name}`)
    return value
  }

  /** The text of the key with all rights. */
  async key(): Promise<string> {
    return readFile(this.variable('SFTP_PRIVATE_KEY'), 'utf8')
  }

  /** The text of a new key. @param command What it may do; without one it is rejected. */
  async makeKey(command?: string, passphrase = ''): Promise<string> {
    const file = join(this.#keys, String(Math.random()).slice(2))
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', passphrase, '-f', file])
    if (command !== undefined) {
      const line = `command="${command}" ${await readFile(`${file}.pub`, 'utf8')}`
      await appendFile(this.variable('SFTP_AUTHORIZED_KEYS'), line)
    }
    return readFile(file, 'utf8')
  }

  async options(changes: Partial<SftpBackendOptions> = {}): Promise<SftpBackendOptions> {
    return {
      host: this.host,
      port: this.port,
      username: this.variable('SFTP_USERNAME'),
      privateKey: await this.key(),
      hostFingerprint: this.fingerprint,
      root: this.root,
      ...changes,
    }
  }

  stop(signal?: NodeJS.Signals): Promise<void> {
    return this.#service.stop(signal)
  }

  start(): Promise<void> {
    return this.#service.start()
  }

  /** The path of `key`; creates its directory. */
  async place(key: string): Promise<string> {
    const file = join(this.root, key)
    await mkdir(dirname(file), { recursive: true })
    return file
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#service[Symbol.asyncDispose]()
    await rm(this.#keys, { recursive: true, force: true })
  }
}

/** An in-memory file system of a few MiB that belongs to nobody. Only root can mount it. */
export class SmallDisk {
  readonly path: string

  private constructor(path: string) {
    this.path = path
  }

  static async mount(): Promise<SmallDisk> {
    const path = await mkdtemp(join(tmpdir(), 'driver-sftp-disk-'))
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m,uid=65534,gid=65534,mode=755', 'tmpfs', path])
    return new SmallDisk(path)
  }

  /** Fills it except for this many bytes. @returns A function that frees them. */
  async leave(bytes: number): Promise<() => Promise<void>> {
    const filler = join(this.path, 'filler')
    const { bavail, bsize } = await statfs(this.path)
    await writeFile(filler, Buffer.alloc(bavail * bsize - bytes))
    return () => rm(filler)
  }

  async unmount(): Promise<void> {
    execFileSync('umount', ['--lazy', this.path])
    await rm(this.path, { recursive: true })
  }
}
