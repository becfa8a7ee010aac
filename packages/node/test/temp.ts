import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { type BackendConfig, openStore, type StoreConfig } from '@stored/node'

export { type TemporaryDirectory as TempDirectory, temporaryDirectory as temp } from '@stored/testing/directory'

/** A store in `directory` with two folders, `a` and `b`, as backends. */
export function openAt(directory: string, more: Partial<StoreConfig<Record<string, BackendConfig>>> = {}) {
  return openStore({
    path: path.join(directory, 'store'),
    backends: {
      a: { driver: 'fs', root: path.join(directory, 'a') },
      b: { driver: 'fs', root: path.join(directory, 'b') },
    },
    ...more,
  } as StoreConfig<{ a: BackendConfig; b: BackendConfig }>)
}

export function idOf(bytes: Uint8Array | string): `sha256:${string}` {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

/** Every file below `root` that is not the driver's own, by its relative path. */
export async function filesBelow(root: string): Promise<Record<string, string>> {
  const files: Record<string, string> = {}
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    const file = path.join(entry.parentPath, entry.name)
    const name = path.relative(root, file)
    if (entry.isFile() && !name.startsWith('.stored')) files[name] = await readFile(file, 'utf8')
  }
  return files
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  return Array.fromAsync(items)
}
