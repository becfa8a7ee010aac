import { existsSync, readdirSync, utimesSync } from 'node:fs'
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
      folder: { driver: 'fs', root: folder },
      vault: { driver: 'fs', root: vault, layout: 'id' },
    },
  })
}

/** The path of a blob with layout `id`, as documented. */
export function objectKey(sha256: string): string {
  return `blobs/sha256/${sha256.slice(0, 2)}/${sha256.slice(2, 4)}/${sha256}`
}

/** Temporary files of the drivers, left by a kill. */
export function findDebris(places: Places): string[] {
  return BACKENDS.map((backend) => join(places[backend], '.stored/tmp'))
    .filter((directory) => existsSync(directory))
    .flatMap((directory) => readdirSync(directory).map((name) => join(directory, name)))
}

/** Makes them look old enough to be swept: a young one may be a put in progress. */
export function ageDebris(places: Places): void {
  const yesterday = Date.now() / 1000 - 24 * 60 * 60
  for (const file of findDebris(places)) utimesSync(file, yesterday, yesterday)
}
