import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { StoreD, StoreEventOf } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import type { StoreConfig } from '@stored/node'

const PROBE_BYTES = 1024

type BackendConfig = StoreConfig['backends'][string]

/**
 * Uses a backend as a store does: a small blob under a key of its own is stored, read back and removed. Leaves nothing behind,
 * and the store itself untouched.
 *
 * @throws {StorageError} What the backend fails with, at the first failure.
 */
export async function probe(name: string, config: BackendConfig, signal: AbortSignal): Promise<void> {
  await withBackend(name, config, async (store) => {
    const key = `stored-test-${randomUUID()}`
    const failed = failures(store, name)
    const each = AbortSignal.any([signal, failed.signal])
    try {
      const { id } = await store.put(randomBytes(PROBE_BYTES), { key, signal: each })
      await store.synced(key, { signal: each })
      // A Buffer is verified.
      await store.get(id, { backend: name, signal: each })
      await store.delete(key)
      await store.synced(undefined, { signal: each })
    } catch (error) {
      signal.throwIfAborted()
      throw failed.signal.aborted ? failed.signal.reason : error
    }
  })
}

/** Makes a backend, as the store would, and asks nothing of it. @throws {StorageError} What is wrong with its options. */
export async function tryOptions(name: string, config: BackendConfig): Promise<void> {
  await withBackend(name, config, async () => {})
}

/** In a store of its own, since only a store loads drivers. */
async function withBackend(name: string, config: BackendConfig, use: (store: StoreD) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(path.join(tmpdir(), 'stored-test-'))
  try {
    const { openStore } = await import('@stored/node')
    await using store = await openStore({
      path: path.join(directory, 'store'),
      backends: { [name]: config },
      cache: false,
    })
    await use(store)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

/** A queue would try again for hours; here the first failure is the answer. */
function failures(store: StoreD, backend: string): AbortController {
  const failed = new AbortController()
  const fail = ({ error, key }: StoreEventOf<'sync:retry' | 'sync:error'>) =>
    failed.abort(new StorageError(error.code, { op: 'test', backend, key }, { detail: error.message }))
  store.on('sync:retry', fail)
  store.on('sync:error', fail)
  return failed
}
