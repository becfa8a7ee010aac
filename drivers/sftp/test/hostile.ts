import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import ssh2, { type Attributes, type FileEntry, type SFTPWrapper } from 'ssh2'
import { onTestFinished } from 'vitest'
import { fingerprintOf } from '../src/host-keys.ts'
import { SftpBackend } from '../src/index.ts'

const { OK, FAILURE, EOF, NO_SUCH_FILE } = ssh2.utils.sftp.STATUS_CODE
const DIRECTORY: Attributes = { mode: 0o040755, uid: 0, gid: 0, size: 0, atime: 0, mtime: 0 }
const FILE: Attributes = { ...DIRECTORY, mode: 0o100644, size: 1 }
const DIRECTORIES: readonly string[] = ['/root', '/root/.stored', '/root/.stored/tmp']
const MARKER = '00000000-0000-4000-8000-000000000000'

/**
 * A malicious SFTP server. It has a root that cannot be written to, and `read` returns the entries of every directory.
 */
export class HostileServer {
  /** The next entries of a directory, given the number of earlier requests; `null` at the end. */
  read: (asked: number) => readonly string[] | null = () => null
  /** Its message for a failure. */
  says = 'no'
  /** How often more of a directory was requested. */
  asked = 0
  readonly #server: ssh2.Server
  readonly #fingerprint: string

  private constructor() {
    const { private: hostKey } = ssh2.utils.generateKeyPairSync('ed25519')
    const parsed = ssh2.utils.parseKey(hostKey)
    if (parsed instanceof Error) throw parsed
    this.#fingerprint = fingerprintOf(parsed.getPublicSSH())
    this.#server = new ssh2.Server({ hostKeys: [hostKey] }, (client) => {
      client.on('error', () => {})
      client.on('authentication', (context) => {
        if (context.method === 'password') context.accept()
        else context.reject(['password'])
      })
      client.on('session', (accept) => void accept().on('sftp', (open) => this.#serve(open())))
    })
  }

  static async start(): Promise<HostileServer> {
    const hostile = new HostileServer()
    hostile.#server.listen(0, '127.0.0.1')
    await once(hostile.#server, 'listening')
    onTestFinished(() => void hostile.#server.close())
    return hostile
  }

  async backend(password = 'correct horse battery'): Promise<SftpBackend> {
    const { port } = this.#server.address() as AddressInfo
    const place = { host: '127.0.0.1', port, hostFingerprint: this.#fingerprint, root: '/root' }
    const backend = new SftpBackend({ ...place, username: 'me', password, connections: 1 })
    onTestFinished(() => backend.close())
    await backend.open({ log: () => {} })
    return backend
  }

  #serve(sftp: SFTPWrapper): void {
    const handle = Buffer.from('handle')
    const refuse = (id: number) => sftp.status(id, FAILURE, this.says)
    sftp.on('REALPATH', (id, path) => sftp.name(id, [{ filename: path, longname: path, attrs: DIRECTORY }]))
    sftp.on('LSTAT', (id, path) => {
      if (path.endsWith('/failing')) return refuse(id)
      if (path.endsWith('/none')) return sftp.status(id, NO_SUCH_FILE, this.says)
      sftp.attrs(id, DIRECTORIES.includes(path) ? DIRECTORY : FILE)
    })
    sftp.on('OPENDIR', (id) => sftp.handle(id, handle))
    sftp.on('READDIR', (id) => {
      const names = this.read(++this.asked)
      if (names === null) sftp.status(id, EOF)
      else
        sftp.name(
          id,
          names.map((filename): FileEntry => ({ filename, longname: '', attrs: FILE })),
        )
    })
    sftp.on('OPEN', (id, _path, flags) => {
      if (flags === ssh2.utils.sftp.OPEN_MODE.READ) sftp.handle(id, handle)
      else sftp.status(id, ssh2.utils.sftp.STATUS_CODE.PERMISSION_DENIED)
    })
    sftp.on('READ', (id) => sftp.data(id, Buffer.from(MARKER)))
    sftp.on('CLOSE', (id) => sftp.status(id, OK))
    sftp.on('MKDIR', refuse)
    sftp.on('REMOVE', (id) => sftp.status(id, NO_SUCH_FILE))
  }
}
