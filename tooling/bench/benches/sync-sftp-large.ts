import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createReadStream, createWriteStream, readFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { SftpBackend } from '@stored/driver-sftp'
import { openStore } from '@stored/node'
import { type Service, startService } from '@stored/services'
import type { Bench } from '../bench.ts'
import { writeLargeFile } from '../data.ts'
import { compare, mibPerSecond } from '../figures.ts'
import type { Params } from '../side.ts'

const MIB = 1024 * 1024
const KEY = 'large'
/** What ssh2 and OpenSSH agree on, too, when nobody tells them. */
const CIPHER = 'aes128-gcm@openssh.com'

export const syncSftpLarge: Bench = {
  name: 'sync-sftp-large',
  about: `A file of 256 MiB, in the page cache, to and from OpenSSH's server on this machine, over one connection with
${CIPHER}; server and client share the processors. Up, StoreD: put(path, { key }) and synced(): hashed, staged,
flushed, recorded, read again, sent, flushed there, renamed. The rival is \`sftp\` with \`put -f\`, which flushes there, too. Down,
StoreD: get(key) as a stream into a file, verified, and not kept in the read cache; the rival is \`get\` of \`sftp\`, which verifies nothing.`,

  sides: {
    async source({ directory, params }) {
      writeLargeFile(join(directory, 'source'), Number(params.size), 'sync-sftp-large')
    },

    async storedUp({ directory, params, start, stop }) {
      await using store = await openRemoteStore(directory, params)
      await store.put(Buffer.alloc(4096), { key: 'warm-up' })
      await store.synced()
      await start()
      const { size } = await store.put(String(params.source), { key: KEY })
      await store.synced()
      await stop(size)
    },

    async sftpUp({ directory, params, start, stop }) {
      const remote = await makeRemote(directory, params)
      await start()
      await sftp(params, `put -f ${params.source} ${join(remote, KEY)}`)
      await stop(Number(params.size))
    },

    async storedDown({ directory, params, start, stop }) {
      await using store = await openRemoteStore(directory, params)
      const { size } = await store.put(String(params.source), { key: KEY })
      await store.synced()
      await start()
      await pipeline(await store.get(KEY, { stream: true }), createWriteStream(join(directory, KEY)))
      await stop(size)
    },

    async sftpDown({ directory, params, start, stop }) {
      const remote = await makeRemote(directory, params)
      await pipeline(createReadStream(String(params.source)), createWriteStream(join(remote, KEY)))
      await start()
      await sftp(params, `get ${join(remote, KEY)} ${join(directory, KEY)}`)
      await stop(Number(params.size))
    },
  },

  async run(lab) {
    await using server = await startService('sshd')
    const directory = lab.makeDirectory()
    const params = paramsOf(server, join(directory, 'source'), lab.scaled(256) * MIB)
    await lab.prepare('source', directory, params)
    const [up = [], rivalUp = [], down = [], rivalDown = []] = await lab.compete([
      { name: 'StoreD, up', side: 'storedUp', params },
      { name: 'sftp, up', side: 'sftpUp', params },
      { name: 'StoreD, down', side: 'storedDown', params },
      { name: 'sftp, down', side: 'sftpDown', params },
    ])
    const speed = { unit: 'MiB/s', better: 'more', figure: mibPerSecond, reach: { ratio: 0.5, stretch: 0.8 } } as const
    return [
      compare({ ...speed, bench: 'sync-sftp-large up' }, up, [{ name: 'sftp, put -f', samples: rivalUp }]),
      compare({ ...speed, bench: 'sync-sftp-large down' }, down, [{ name: 'sftp, get', samples: rivalDown }]),
    ]
  },
}

function paramsOf({ env }: Service, source: string, size: number): Params {
  const port = Number(env.SFTP_PORT)
  const { SFTP_HOST: host = '', SFTP_USERNAME: username = '', SFTP_PRIVATE_KEY: key = '', SFTP_ROOT: root = '' } = env
  return { source, size, host, port, username, key, root, fingerprint: env.SFTP_FINGERPRINT ?? '' }
}

/** A store whose one backend is the server. */
function openRemoteStore(directory: string, { host, port, username, key, root, fingerprint }: Params) {
  const remote = new SftpBackend({
    host: String(host),
    port: Number(port),
    username: String(username),
    privateKey: readFileSync(String(key), 'utf8'),
    hostFingerprint: String(fingerprint),
    root: join(String(root), basename(directory)),
  })
  // Too small for the blob: the rival keeps one copy, too.
  return openStore({ path: join(directory, 'store'), backends: { remote }, cache: { maxSize: '1MB' } })
}

/** A directory on the server, which is this machine. */
async function makeRemote(directory: string, { root }: Params): Promise<string> {
  const remote = join(String(root), basename(directory))
  await mkdir(remote)
  return remote
}

/** Runs one command of OpenSSH's client. */
async function sftp({ host, port, username, key }: Params, command: string): Promise<void> {
  const options = ['IdentitiesOnly=yes', 'StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'LogLevel=ERROR']
  const args = ['-q', '-b', '-', '-c', CIPHER, '-i', String(key), '-P', String(port)]
  const child = spawn('sftp', [...args, ...options.flatMap((option) => ['-o', option]), `${username}@${host}`], {
    stdio: ['pipe', 'ignore', 'inherit'],
  })
  child.stdin.end(`${command}\n`)
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0) throw new Error(`sftp ended with ${code}`)
}
