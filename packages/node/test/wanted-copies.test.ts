import { checksums } from '@stored/checksumd'
import { type BlobId, type ListEntry, releaseVerified, StoreD, type View } from '@stored/core'
import { MemoryBackend, StorageError } from '@stored/core/backend'
import { BlobIndex } from '@stored/index'
import { MemoryLedger } from '@stored/ledger'
import { DurableStaging } from '@stored/staging'
import { JobQueue, SyncD } from '@stored/syncd'
import { dumpOf } from '@stored/testing/rows/dump'
import { checkRows } from '@stored/testing/rows/row-check'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { A, B, ID_A, ID_B, idKeyOf } from './plans/world.ts'
import { collect, temp } from './temp.ts'

const NAMES = ['s', 't', 'x'] as const
const REFUSED = new Set(['PRECONDITION_FAILED', 'NOT_FOUND', 'INVALID_ARGUMENT', 'INVALID_KEY', 'UNAVAILABLE'])
const BYTES: Readonly<Record<BlobId, Buffer>> = { [ID_A]: A, [ID_B]: B }

/** A store that syncs, with backends `s` and `t` of layout id and `x` of layout key, which releases all that it may. */
async function opened(path: string) {
  const ledger = new MemoryLedger()
  const index = new BlobIndex(ledger)
  await index.complete()
  const queue = new JobQueue(ledger)
  const staging = await DurableStaging.open({ ledger, path, highWater: 0 })
  const syncer = await SyncD.open({ ledger, index, queue, staging, sync: true })
  const services = { ledger, index, queue, staging, syncer, checksums, mimeTypeOf: () => 'text/plain' }
  const shared = () => ({ backend: new MemoryBackend(), layout: 'id' as const })
  const store = new StoreD<string>({
    ...services,
    backends: { s: shared(), t: shared(), x: { backend: new MemoryBackend() } },
  })
  return { store, ledger, index, staging, there: new Set<string>(NAMES) }
}

type Opened = Awaited<ReturnType<typeof opened>>

interface Step {
  readonly key: string
  readonly id: BlobId
  readonly backends: readonly string[]
  readonly backend: string
}

const ACTIONS = {
  put: ({ store }: Opened, { key, id, backends }: Step) => store.put(BYTES[id] as Buffer, { key, backends }),
  link: ({ store }: Opened, { key, id, backends }: Step) => store.link(key, id, { backends }),
  delete: ({ store }: Opened, { key }: Step) => store.delete(key),
  drop: ({ store }: Opened, { key, backends }: Step) => store.delete(key, { backends }),
  dropOfAll: ({ store }: Opened, { id, backends }: Step) => store.delete(id, { backends }),
  forget: ({ store }: Opened, { key, backend }: Step) => store.forget({ backend, key }),
  forgetShared: ({ store }: Opened, { id, backend }: Step) => store.forget({ backend, key: idKeyOf(id) }),
  pause: ({ store }: Opened, { backend }: Step) => store.pause(backend),
  sync: async ({ store }: Opened, { backend }: Step) => {
    await store.resume(backend)
    await store.synced(undefined, { backends: [backend] })
  },
  release: ({ ledger, index, staging, there }: Opened) =>
    releaseVerified({ ledger, index, staging }, (_: View, name) => there.has(name), Date.now()),
  remove: async ({ store, there }: Opened, { backend }: Step) => {
    if (there.size === 1) return
    await store.removeBackend(backend)
    there.delete(backend)
  },
}

const OFTEN = ['put', 'put', 'put', 'link', 'delete', 'drop', 'sync', 'sync'] as const
const step = fc.record({
  action: fc.constantFrom(...(Object.keys(ACTIONS) as (keyof typeof ACTIONS)[]), ...OFTEN),
  key: fc.constantFrom('k', 'l', idKeyOf(ID_A)),
  id: fc.constantFrom(ID_A, ID_A, ID_A, ID_B),
  backends: fc.subarray([...NAMES], { minLength: 1 }),
  backend: fc.constantFrom(...NAMES),
})

/** Copies that go with no other key. */
async function countedOn({ index, ledger, there }: Opened, { key, locations }: ListEntry): Promise<string[]> {
  const wanted = (await ledger.look((view) => index.binding(view, key)))?.wanted ?? {}
  const counted = locations.filter(({ backend, shared, ...one }) =>
    shared ? wanted[backend] === 'shared' : one.key === key,
  )
  return counted.flatMap(({ backend, synced }) => (synced && there.has(backend) ? backend : []))
}

test('each key keeps a copy that it asked for, whatever is put, linked, dropped, released or removed', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 8, maxLength: 25 }), async (steps) => {
      await using dir = await temp()
      const one = await opened(dir.path)
      await using store = one.store
      for (const { action, ...given } of steps) {
        await ACTIONS[action](one, given).catch((error: unknown) => {
          if (!StorageError.is(error) || !REFUSED.has(error.code)) throw error
        })
        expect(checkRows(dumpOf(one.ledger)).violations, action).toEqual([])
      }
      for (const name of one.there) await store.resume(name)
      await store.synced()
      for (const entry of await collect(store.list({ missing: true }))) {
        expect(await store.get(entry.key)).toEqual(BYTES[entry.id])
        expect(await countedOn(one, entry), entry.key).not.toEqual([])
      }
    }),
    { numRuns: 150 },
  )
}, 60_000)

test('staged bytes stay for a copy whose keys want none of the others: these go with their own keys', async () => {
  await using dir = await temp()
  const one = await opened(dir.path)
  await using store = one.store
  await store.pause('t')
  await store.put(A, { key: 'k', backends: ['s'] })
  await store.put(A, { key: 'l', backends: ['t'] })
  await store.synced(undefined, { backends: ['s'] })
  expect((await releaseVerified(one, () => true, Date.now())).blobs).toBe(0)
  await store.delete('k')
  await store.resume('t')
  await store.synced()
  expect(await store.get('l')).toEqual(A)
})
