import { join } from 'node:path'
import { openStore } from '@stored/node'

/** Where everything of one run lies. */
export interface Places {
  readonly store: string
  /** A backend that holds every file under its own name. */
  readonly folder: string
  /** A backend that holds every blob once, under its digest. */
  readonly vault: string
}

export const BACKENDS = ['folder', 'vault'] as const
export type BackendName = (typeof BACKENDS)[number]

export function placesIn(directory: string): Places {
  return { store: join(directory, 'store'), folder: join(directory, 'folder'), vault: join(directory, 'vault') }
}

export function openDemoStore({ store, folder, vault }: Places) {
  return openStore({
    path: store,
    backends: {
      folder: { driver: 'fs', root: folder },
      vault: { driver: 'fs', root: vault, layout: 'id' },
    },
  })
}

export type DemoStore = Awaited<ReturnType<typeof openDemoStore>>
