import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { conformance } from '@stored/conformance'
import { afterAll, describe, it, vi } from 'vitest'
import { FsBackend } from '../src/index.ts'
import { io } from '../src/io.ts'

// Simulates a system without /proc, such as macOS.
vi.spyOn(io, 'readlink').mockRejectedValue(Object.assign(new Error('no /proc'), { code: 'ENOENT' }))

const place = await mkdtemp(join(tmpdir(), 'driver-fs-'))
const root = join(place, 'root')
afterAll(() => rm(place, { recursive: true }))

conformance(
  {
    name: 'fs without /proc',
    open: async () => new FsBackend({ root }),
    debris: () => readdir(join(root, '.stored/tmp')),
    outsider: {
      write: async (key, bytes) => {
        await mkdir(dirname(join(root, key)), { recursive: true })
        await writeFile(join(root, key), bytes)
      },
      corrupt: async (key, change) => writeFile(join(root, key), change(await readFile(join(root, key)))),
      async symlink(key, target) {
        await mkdir(join(root, key, '..'), { recursive: true })
        await rm(join(root, key), { recursive: true, force: true })
        await symlink(target, join(root, key))
      },
      outside: `${root}-beside`,
    },
  },
  { describe, it },
)
