import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { StorageError } from '@stored/core/backend'
import ssh2 from 'ssh2'
import { describe, expect, it, onTestFinished } from 'vitest'
import { fingerprintOf } from '../src/host-keys.ts'
import { SftpBackend } from '../src/index.ts'

/** A server that accepts the password, and has no SFTP: without PAM, sshd accepts no password of a test. */
async function startServer(password: string) {
  const { private: hostKey } = ssh2.utils.generateKeyPairSync('ed25519')
  const parsed = ssh2.utils.parseKey(hostKey)
  if (parsed instanceof Error) throw parsed
  const server = new ssh2.Server({ hostKeys: [hostKey] }, (client) => {
    client.on('error', () => {})
    client.on('authentication', (context) => {
      if (context.method === 'password' && context.password === password) context.accept()
      else context.reject(['password'])
    })
    client.on('session', (accept) => void accept().on('subsystem', (_accept, reject) => reject()))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const { port } = server.address() as AddressInfo
  const hostFingerprint = fingerprintOf(parsed.getPublicSSH())
  return { host: '127.0.0.1', port, username: 'me', hostFingerprint, root: 'blobs' }
}

async function open(backend: SftpBackend): Promise<StorageError> {
  onTestFinished(() => backend.close())
  const failure = await backend.open({ log: () => {} }).catch((error: unknown) => error)
  if (!StorageError.is(failure)) throw new Error('it opened')
  return failure
}

describe('open() with a password', () => {
  it('that is wrong is UNAUTHENTICATED', async () => {
    const options = await startServer('right')
    expect(await open(new SftpBackend({ ...options, password: 'wrong' }))).toMatchObject({ code: 'UNAUTHENTICATED' })
  })

  it('that is right is accepted, and is MISCONFIGURED if the server has no SFTP', async () => {
    const passwords = ['expired', 'right']
    const backend = new SftpBackend({ ...(await startServer('right')), password: () => passwords.shift() as string })
    expect(await open(backend)).toMatchObject({ code: 'MISCONFIGURED', detail: expect.stringContaining('no SFTP') })
    expect(passwords).toEqual([])
  })
})
