import { checksums } from '@stored/checksumd'
import { StoreD } from '@stored/core'
import { MemoryBackend, StorageError } from '@stored/core/backend'
import { BlobIndex } from '@stored/index'
import { MemoryLedger } from '@stored/ledger'
import { DurableStaging } from '@stored/staging'
import { JobQueue, SyncD } from '@stored/syncd'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type TempDirectory, temp } from './temp.ts'

let directory: TempDirectory
let ledger: MemoryLedger
let index: BlobIndex
let store: StoreD

beforeEach(async () => {
  directory = await temp()
  ledger = new MemoryLedger()
  index = new BlobIndex(ledger)
  const queue = new JobQueue(ledger)
  const staging = await DurableStaging.open({ ledger, path: directory.path })
  const syncer = await SyncD.open({ ledger, index, queue, staging })
  const backends = { a: { backend: new MemoryBackend(), concurrency: 1 } }
  const services = { ledger, index, queue, staging, syncer, checksums, mimeTypeOf: () => 'text/plain' }
  store = new StoreD<string>({ ...services, backends })
})

afterEach(async () => {
  vi.restoreAllMocks()
  await store.close()
  await directory[Symbol.asyncDispose]()
})

test('synced() of an id does not read all its copies each time one of them is made', async () => {
  await store.pause('a')
  const keys = Array.from({ length: 100 }, (_, i) => `k${i}`)
  let id = ''
  for (const key of keys) id = (await store.put(Buffer.from('same'), { key })).id
  const live = vi.spyOn(index, 'live')
  await store.resume('a')
  await store.synced(id)
  expect(live.mock.calls.length).toBeLessThan(20)
  const copies = await Array.fromAsync(store.copies(id))
  expect(copies.filter(({ synced }) => synced)).toHaveLength(keys.length)
})

test('what could not be read of a backend as it was added is read by the next call', async () => {
  const failure = new StorageError('INTERNAL', { op: 'look' })
  vi.spyOn(ledger, 'look').mockRejectedValueOnce(failure)
  store.addBackend('b', { backend: new MemoryBackend() })
  await expect(store.put(Buffer.from('x'), { key: 'x' })).rejects.toBe(failure)
  await store.put(Buffer.from('x'), { key: 'x' })
  await store.synced('x')
  expect((await store.stat('x'))?.locations).toMatchObject([
    { backend: 'a', synced: true },
    { backend: 'b', synced: true },
  ])
})
