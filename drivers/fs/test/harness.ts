import { execFileSync } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Harness, Outsider } from '@stored/conformance'
import { FsBackend } from '@stored/driver-fs'
import manifest from '../package.json' with { type: 'json' }

/** A root of its own, and everything that another program can do to it. */
export async function harness(): Promise<Harness> {
  const directory = await mkdtemp(path.join(tmpdir(), 'stored-fs-'))
  const root = path.join(directory, 'ab')
  // For the process that `child` runs in.
  process.env.STORED_TEST_ROOT = root
  return {
    name: 'fs',
    version: manifest.version,
    open: async () => new FsBackend({ root }),
    // How many files of a directory are examined together.
    pageSize: 64,
    broken: async () => new FsBackend({ root: fileURLToPath(import.meta.url) }),
    debris: () => readdir(path.join(root, '.stored/tmp')),
    // Permissions do not apply to root.
    ...(process.getuid?.() !== 0 && { deny: () => deny(root) }),
    fail: () => unplug(root),
    child: fileURLToPath(new URL('./child.ts', import.meta.url)),
    outsider: outsiderOf(root, path.join(directory, 'abc')),
    close: () => rm(directory, { recursive: true, force: true }),
  }
}

async function deny(root: string): Promise<() => Promise<void>> {
  await chmod(root, 0)
  return () => chmod(root, 0o755)
}

/** Does to the root what removing its disk does. */
async function unplug(root: string): Promise<() => Promise<void>> {
  await rename(root, `${root}-unplugged`)
  return () => rename(`${root}-unplugged`, root)
}

function outsiderOf(root: string, outside: string): Outsider {
  /** The path of `key`; creates its directory. */
  const place = async (key: string): Promise<string> => {
    const file = path.join(root, key)
    await mkdir(path.dirname(file), { recursive: true })
    return file
  }
  return {
    outside,
    write: async (key, bytes) => writeFile(await place(key), bytes),
    corrupt: async (key, change) => writeFile(await place(key), change(await readFile(await place(key)))),
    mkdir: async (key) => void (await mkdir(await place(key))),
    special: async (key) => void execFileSync('mkfifo', [await place(key)]),
    async symlink(key, target) {
      await rm(await place(key), { recursive: true, force: true })
      await symlink(target, await place(key))
    },
    async undecodable(prefix) {
      const name = Buffer.concat([Buffer.from(await place(prefix)), Buffer.from([0x2f, 0xff, 0xfe])])
      await writeFile(name, 'foreign')
    },
  }
}
