import { join } from 'node:path'
import type { StorageBackend } from '@stored/core/backend'
import { driver as fs } from '@stored/driver-fs'
import { driver as s3 } from '@stored/driver-s3'
import { driver as sftp } from '@stored/driver-sftp'
import { openStore } from '@stored/node'

const DRIVERS = { fs, s3, sftp }

/** Everything needed to make a backend, in this process or in another. */
export interface Backend {
  readonly name: string
  readonly driver: keyof typeof DRIVERS
  readonly options: Readonly<Record<string, unknown>>
  /** `key`: it stores every file under its own name · `id`: every blob once, under its digest. */
  readonly layout: 'key' | 'id'
}

/** The store of one run. */
export interface Config {
  /** Its directory. */
  readonly path: string
  readonly backends: readonly Backend[]
}

export function configIn(directory: string, backends: readonly Backend[]): Config {
  return { path: join(directory, 'store'), backends }
}

/** An instance that shares nothing with others on the same place. */
export function makeBackend({ driver, options }: Backend): StorageBackend {
  return DRIVERS[driver](options) as StorageBackend
}

export function openDemoStore({ path, backends }: Config) {
  const made = backends.map((each) => [each.name, { backend: makeBackend(each), layout: each.layout }] as const)
  return openStore({ path, backends: Object.fromEntries(made) })
}

export type DemoStore = Awaited<ReturnType<typeof openDemoStore>>

/** The path of a blob with layout `id`, as documented. */
export function objectKey(sha256: string): string {
  return `blobs/sha256/${sha256.slice(0, 2)}/${sha256.slice(2, 4)}/${sha256}`
}
