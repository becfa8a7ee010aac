import { join } from 'node:path'
import { openStore } from '@stored/node'

export interface Places {
  readonly store: string
  /** A backend with an object for each key. */
  readonly folder: string
  /** A backend with an object for each blob. */
  readonly vault: string
}

export const BACKENDS = ['folder', 'vault'] as const

export function placesIn(directory: string): Places {
  return { store: join(directory, 'store'), folder: join(directory, 'folder'), vault: join(directory, 'vault') }
}

export function openKillStore({ store, folder, vault }: Places) {
  return openStore({
    path: store,
    backends: {
      folder: { driver: 'fs', root: folder, overwrite: true },
      vault: { driver: 'fs', root: vault, layout: 'id', overwrite: true },
    },
  })
}

/** Where a blob of layout `id` lies, as documented. */
export function objectKey(sha256: string): string {
  return `blobs/sha256/${sha256.slice(0, 2)}/${sha256.slice(2, 4)}/${sha256}`
}
