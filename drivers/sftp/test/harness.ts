import { execFileSync } from 'node:child_process'
import { chmod, mkdir, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Harness } from '@stored/conformance'
import { SftpBackend } from '@stored/driver-sftp'
import manifest from '../package.json' with { type: 'json' }
import { NOBODY, READ_ONLY, Server, SmallDisk } from './server.ts'

const isRoot = process.getuid?.() === 0

/** How the kit reaches its own server. @returns Why there is none, if so. */
export async function harness(): Promise<Harness | string> {
  const server = await Server.offer()
  if (typeof server === 'string') return server
  return { ...(await harnessOf(server)), close: () => server[Symbol.asyncDispose]() }
}

/** How the kit reaches one server. */
async function harnessOf(sshd: Server): Promise<Harness> {
  const keys = { good: await sshd.key(), bad: await sshd.makeKey(), readonly: await sshd.makeKey(READ_ONLY) }
  const options = await sshd.options()
  // For the process that `child` runs in.
  process.env.STORED_TEST_SFTP = JSON.stringify(options)
  return {
    name: 'sftp',
    version: manifest.version,
    server: { name: 'OpenSSH', version: sshd.variable('SSHD_VERSION') },
    open: async ({ via, creds = 'good' } = {}) =>
      new SftpBackend({ ...options, ...via, privateKey: () => keys[creds] }),
    endpoint: { host: sshd.host, port: sshd.port },
    // OpenSSH's answer to a READDIR.
    pageSize: 100,
    creds: ['bad', 'readonly'],
    secrets: () => Object.values(keys).flatMap((key) => key.split('\n').filter((line) => line.length > 40)),
    debris: () => readdir(join(sshd.root, '.stored/tmp')),
    broken: async () => new SftpBackend({ ...options, port: 1 }),
    noContainer: async () =>
      new SftpBackend({ ...options, privateKey: () => keys.good, root: join(sshd.root, 'none/there') }),
    async restartServer() {
      await sshd.stop('SIGKILL')
      await sshd.start()
    },
    async rotate() {
      const key = await sshd.makeKey('internal-sftp')
      const file = sshd.variable('SFTP_AUTHORIZED_KEYS')
      const lines = (await readFile(file, 'utf8')).trim().split('\n')
      // The first line is that of the previous key.
      await writeFile(file, [lines.at(-1), ...lines.slice(1, -1), ''].join('\n'))
      keys.good = key
      process.env.STORED_TEST_SFTP = JSON.stringify({ ...options, privateKey: key })
      await sshd.stop()
      await sshd.start()
    },
    ...(!isRoot && { deny: () => denyAll(sshd.root) }),
    fail: () => unplug(sshd.root),
    child: fileURLToPath(new URL('./child.ts', import.meta.url)),
    outsider: {
      outside: `${sshd.root}c`,
      write: async (key, bytes) => writeFile(await sshd.place(key), bytes),
      corrupt: async (key, change) => writeFile(await sshd.place(key), change(await readFile(await sshd.place(key)))),
      mkdir: async (key) => void (await mkdir(await sshd.place(key))),
      special: async (key) => void execFileSync('mkfifo', [await sshd.place(key)]),
      async symlink(key, target) {
        await rm(await sshd.place(key), { recursive: true, force: true })
        await symlink(target, await sshd.place(key))
      },
      async undecodable(prefix) {
        const name = Buffer.concat([Buffer.from(await sshd.place(prefix)), Buffer.from([0x2f, 0xff, 0xfe])])
        await writeFile(name, 'foreign')
      },
    },
  }
}

/**
 * The same for an account without privileges, on a small disk: permissions do not apply to root, and only root can
 * mount one.
 */
export async function harnessAsNobody(sshd: Server): Promise<Harness> {
  const disk = await SmallDisk.mount()
  const root = join(disk.path, 'ab')
  const options = await sshd.options({ privateKey: await sshd.makeKey(NOBODY), root })
  return {
    name: 'sftp without privileges',
    open: async () => new SftpBackend(options),
    debris: () => readdir(join(root, '.stored/tmp')),
    deny: () => denyAll(root),
    quota: (bytes) => disk.leave(bytes),
    close: () => disk.unmount(),
  }
}

/** Removes all permissions from a directory. */
async function denyAll(directory: string): Promise<() => Promise<void>> {
  await chmod(directory, 0)
  return () => chmod(directory, 0o755)
}

/** Does to the root what removing the server's disk does. */
async function unplug(root: string): Promise<() => Promise<void>> {
  await rename(root, `${root}-unplugged`)
  return () => rename(`${root}-unplugged`, root)
}
