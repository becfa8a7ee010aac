// A process that has a store open and nothing to do: node member.ts DIRECTORY
import { join } from 'node:path'
import { openStore } from '@stored/node'

const BLOBS = 200
/** A cleared timer still wakes Node.js once, when it would have been due: nothing is being counted yet then. */
const idleTimeoutMs = 5000

const [directory] = process.argv.slice(2) as [string]
const store = await openStore({
  path: join(directory, 'store'),
  backends: {
    folder: { driver: 'fs', root: join(directory, 'folder'), idleTimeoutMs },
    vault: { driver: 'fs', root: join(directory, 'vault'), layout: 'id', idleTimeoutMs },
  },
})
// Some are part of the commit, some are files.
await Promise.all(
  Array.from({ length: BLOBS }, (_, i) =>
    store.put(Buffer.alloc(1 + i * 1000, `${process.pid} ${i} `), { key: `${process.pid}/${i}` }),
  ),
)
await store.synced()
const { syncing } = await store.status()
// An open store alone does not keep a process running.
setInterval(() => {}, 2 ** 31 - 1)
process.send?.(syncing)
