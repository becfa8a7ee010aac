import path from 'node:path'
import type { PutOptions, Stat } from '@stored/core/backend'
import { FsBackend } from '@stored/driver-fs'
import { openStore } from '@stored/node'

/** Kills the process that puts the key `poison`. */
class PoisonedBackend extends FsBackend {
  override put(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat> {
    if (key === 'poison') process.kill(process.pid, 'SIGKILL')
    return super.put(key, body, options)
  }
}

// Syncs the store in a directory until nothing waits any more, or until it is killed.
const directory = process.argv[2] as string
const backend = new PoisonedBackend({ root: path.join(directory, 'a') })
const store = await openStore({ path: path.join(directory, 'store'), backends: { a: { backend, concurrency: 4 } } })
const isParked = (error: { code: string }) => {
  if (error.code !== 'INTERNAL') throw error
}
await store.synced().catch(isParked)
await store.close()
