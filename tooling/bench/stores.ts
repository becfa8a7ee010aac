import { join } from 'node:path'
import { openStore } from '@stored/node'

/** The one backend of the benches. */
export const DISK = 'disk'

/** Where its blobs lie. */
export function rootOf(directory: string): string {
  return join(directory, DISK)
}

/** A store with one folder as its backend. @param sync Whether copies are brought there. */
export function openBenchStore(directory: string, sync: boolean) {
  return openStore({
    path: join(directory, 'store'),
    backends: { [DISK]: { driver: 'fs', root: rootOf(directory) } },
    sync,
  })
}

export type BenchStore = Awaited<ReturnType<typeof openBenchStore>>
