import { FsBackend } from '@stored/driver-fs'
import { openStore } from '@stored/node'
import { DISK, rootOf } from './stores.ts'

/** A folder that passes for a remote backend: what is read from it is kept in the read cache. */
class RemoteFolder extends FsBackend {
  override get capabilities(): FsBackend['capabilities'] {
    return { ...super.capabilities, local: false }
  }
}

/** Like `openBenchStore`, with a read cache in front of its folder. */
export function openCachingStore(directory: string, sync: boolean, maxSize = 2 ** 40) {
  return openStore({
    path: `${directory}/store`,
    backends: { [DISK]: new RemoteFolder({ root: rootOf(directory) }) },
    cache: { maxSize },
    sync,
  })
}

type CachingStore = Awaited<ReturnType<typeof openCachingStore>>

/** Reads blobs until all of them are in the read cache: what the disk cannot keep up with is not kept at the first reading. */
export async function fillCache(store: CachingStore, names: readonly string[]): Promise<void> {
  const drain = async (name: string): Promise<void> => {
    for await (const _ of await store.get(name, { stream: true }));
  }
  let { entries } = await store.cache.stats()
  for (const name of names) {
    for (const wanted = entries + 1; entries < wanted; { entries } = await store.cache.stats()) await drain(name)
  }
}
