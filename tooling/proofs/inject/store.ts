import { join } from 'node:path'
import { openStore } from '@stored/node'
import { CONTENTS, type Key } from './protocol.ts'

export type Store = Awaited<ReturnType<typeof openInjectStore>>

/** One backend, a folder; everything is below `directory`. */
export function openInjectStore(directory: string) {
  return openStore({
    path: join(directory, 'store'),
    backends: { folder: { driver: 'fs', root: join(directory, 'folder') } },
    reserve: 0,
  })
}

export function bytesOf(key: Key | 'before'): Buffer {
  return Buffer.alloc(key === 'before' ? 100 : CONTENTS[key], `${key} `)
}
