import path from 'node:path'
import { FsBackend } from '@stored/driver-fs'
import { openStore } from '@stored/node'

export const KEYS = ['x', 'y', 'z'] as const

/** Two of them are files while they are staged. */
export function blobsOf(): Buffer[] {
  return [0, 50, 51, 70_000, 120_000].map((size, i) => Buffer.alloc(size, `blob ${i} `))
}

/** A store that several processes have open: `a` has an object for each key, `b` one for each blob. */
export function openShared(directory: string) {
  return openStore({
    ...{ path: path.join(directory, 'store'), reserve: 0 },
    backends: {
      a: { backend: new FsBackend({ root: path.join(directory, 'a') }) },
      b: { backend: new FsBackend({ root: path.join(directory, 'b') }), layout: 'id' },
    },
  })
}
