import { checksums } from '@stored/checksumd'
import { StoreD } from '@stored/core'
import { MemoryBackend } from '@stored/core/backend'
import { BlobIndex } from '@stored/index'
import { MemoryLedger } from '@stored/ledger'
import { DurableStaging } from '@stored/staging'
import { JobQueue, SyncD } from '@stored/syncd'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type TempDirectory, temp } from './temp.ts'

const X = Buffer.from('x')
/** Of what may be staged, in bytes. */
const LIMIT = 1000
const REFUSED = { code: 'UNSUPPORTED', message: expect.stringContaining('the process that syncs the store has no b') }

let directory: TempDirectory
let open: (...names: string[]) => Promise<StoreD<string>>
let stores: StoreD<string>[]

/** Two processes that share a store; each opens it with backends of its own choice, and the first one syncs. */
beforeEach(async () => {
  directory = await temp()
  const ledger = new MemoryLedger()
  const index = new BlobIndex(ledger)
  const queue = new JobQueue(ledger)
  const staging = await DurableStaging.open({ ledger, path: directory.path, limit: LIMIT })
  const services = { ledger, index, queue, staging, checksums }
  stores = []
  open = async (...names) => {
    const syncer = await SyncD.open({ ledger, index, queue, staging, directory: directory.path })
    const backends = Object.fromEntries(names.map((name) => [name, { backend: new MemoryBackend() }]))
    const store = new StoreD({ ...services, syncer, backends, mimeTypeOf: () => 'text/plain' })
    stores.push(store)
    return store
  }
})

afterEach(async () => {
  for (const store of stores.toReversed()) await store.close()
  await directory[Symbol.asyncDispose]()
})

/** Waits until a process has heard how the one that syncs stands to `b`. */
async function heard(store: StoreD<string>, state: string): Promise<void> {
  await vi.waitFor(async () => expect(await store.getBackend('b')).toMatchObject({ state }), { timeout: 60_000 })
}

describe('where the process that syncs is not configured with a backend of this one', () => {
  test('synced() brings what it can and rejects with UNSUPPORTED for the rest', async () => {
    await open('a')
    const other = await open('a', 'b')
    await heard(other, 'unknown')
    await other.put(X, { key: 'x' })
    await expect(other.synced('x')).rejects.toMatchObject(REFUSED)
    await expect(other.synced()).rejects.toMatchObject(REFUSED)
    expect((await other.stat('x'))?.locations).toMatchObject([{ state: 'synced' }, { state: 'pending' }])
    await other.synced('x', { copies: 1 })
    await other.synced('x', { backends: ['a'] })
  })

  test('synced() that waits already waits no more for one that another process removes', async () => {
    const leader = await open('a', 'b')
    const other = await open('a', 'b')
    await heard(other, 'ok')
    await leader.pause('b')
    await other.put(X, { key: 'x' })
    const waiting = other.synced('x')
    await leader.removeBackend('b', { force: true })
    await waiting
    expect(await other.listBackends()).toMatchObject([{ name: 'a' }])
  })

  test('synced() waits on once it is', async () => {
    const leader = await open('a')
    const other = await open('a', 'b')
    await heard(other, 'unknown')
    await other.put(X, { key: 'x' })
    leader.addBackend('b', { backend: new MemoryBackend() })
    await heard(other, 'ok')
    await other.synced('x')
  })

  test('a put that finds staging full of bytes that only such backends owe does not wait', async () => {
    const leader = await open('a')
    const other = await open('a', 'b')
    await heard(other, 'unknown')
    await other.put(Buffer.alloc(600), { key: 'x', backends: ['b'] })
    const refused = {
      code: 'STAGING_FULL',
      message: expect.stringContaining('the process that syncs the store has no b'),
    }
    for (const store of [other, leader])
      await expect(store.put(Buffer.alloc(600, 1), { key: 'y' })).rejects.toMatchObject(refused)
  })
})
