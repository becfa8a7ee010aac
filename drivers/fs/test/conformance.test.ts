import { execFileSync } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { chmod, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { conformance, type Profile } from '@stored/conformance'
import { FsBackend } from '@stored/driver-fs'
import { afterAll, describe, it } from 'vitest'

const directory = mkdtempSync(path.join(tmpdir(), 'stored-fs-'))
const root = path.join(directory, 'ab')
/** For the process that `child` runs in. */
process.env.STORED_TEST_ROOT = root

/** Where `key` lies; its directory is made. */
async function place(key: string): Promise<string> {
  const file = path.join(root, key)
  await mkdir(path.dirname(file), { recursive: true })
  return file
}

/** Takes the permissions off the root; whoever is root keeps them. */
async function deny(): Promise<() => Promise<void>> {
  await chmod(root, 0)
  return () => chmod(root, 0o755)
}

conformance(
  {
    name: 'fs',
    open: async () => new FsBackend({ root }),
    broken: async () => new FsBackend({ root: fileURLToPath(import.meta.url) }),
    debris: () => readdir(path.join(root, '.stored/tmp')),
    // Permissions do not bind root.
    ...(process.getuid?.() !== 0 && { deny }),
    child: fileURLToPath(new URL('./child.ts', import.meta.url)),
    outsider: {
      outside: path.join(directory, 'abc'),
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
    },
  },
  { describe, it },
  { profile: (process.env.STORED_CONFORMANCE ?? 'quick') as Profile },
)

afterAll(() => rm(directory, { recursive: true }))
