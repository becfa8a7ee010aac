import { checksums } from '@stored/checksumd'
import { StoreD } from '@stored/core'
import { MemoryBackend, MemoryPlace, type StorageError } from '@stored/core/backend'
import { BlobIndex } from '@stored/index'
import { MemoryLedger } from '@stored/ledger'
import type { StoreConfig } from '@stored/node'
import { DurableStaging } from '@stored/staging'
import { JobQueue, SyncD } from '@stored/syncd'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { idOf, openAt, temp } from './temp.ts'

const MIB = 1024 * 1024
const blobOf = (name: string, size = MIB): Buffer => Buffer.alloc(size, `${name} `)

/** A store with the folder `a` and the folder `b`, whose staging holds four MiB. */
const openBounded = (directory: string, more: Partial<StoreConfig<never>> = {}) =>
  openAt(directory, { staging: { limit: 4 * MIB }, ...more } as never)

/** One that syncs, but brings nothing anywhere until it is told to. */
async function openPaused(directory: string) {
  const store = await openBounded(directory)
  await Promise.all([store.pause('a'), store.pause('b')])
  return store
}

describe('put() at the limit of staging', () => {
  test('waits until a backend has what is staged', async () => {
    await using dir = await temp()
    await using store = await openPaused(dir.path)
    for (const name of ['1', '2', '3', '4']) await store.put(blobOf(name), { key: name })
    const outcomes: string[] = []
    const waiting = store.put(blobOf('5'), { key: '5' }).then(() => outcomes.push('stored'))
    expect(await store.has('5')).toBe(false)
    await store.get('1')
    expect(outcomes).toEqual([])
    await Promise.all([store.resume('a'), store.resume('b')])
    await waiting
    await store.synced()
    expect((await store.get('5', { backend: 'b' })).equals(blobOf('5'))).toBe(true)
  })

  test('does not wait, and rejects STAGING_FULL, where that was asked for', async () => {
    await using dir = await temp()
    await using store = await openBounded(dir.path, { sync: false, staging: { limit: 4 * MIB, whenFull: 'refuse' } })
    for (const name of ['1', '2', '3', '4']) await store.put(blobOf(name), { key: name })
    const full = { code: 'STAGING_FULL', retryable: true }
    await expect(store.put(blobOf('5'), { key: '5' })).rejects.toMatchObject(full)
    expect(await store.stat('5')).toBeNull()
    await store.delete('1')
    await store.put(blobOf('5'), { key: '5' })
  })

  test('of more than the limit rejects STAGING_FULL, however empty it is', async () => {
    await using dir = await temp()
    await using store = await openBounded(dir.path, { sync: false })
    const tooLarge = { code: 'STAGING_FULL', retryable: false }
    await expect(store.put(blobOf('large', 5 * MIB))).rejects.toMatchObject(tooLarge)
    await expect(store.put([blobOf('a', 3 * MIB), blobOf('b', 2 * MIB)])).rejects.toMatchObject(tooLarge)
  })

  test('is aborted while it waits, and leaves its room to others', async () => {
    await using dir = await temp()
    await using store = await openPaused(dir.path)
    await store.put(blobOf('1', 3 * MIB), { key: '1' })
    const abort = new AbortController()
    const large = store.put(blobOf('2', 2 * MIB), { signal: abort.signal })
    const small = store.put(blobOf('3'), { key: '3' })
    abort.abort()
    await expect(large).rejects.toMatchObject({ code: 'ABORTED' })
    await small
  })

  test('rejects SOURCE_CHANGED, and stores nothing, when its buffer is detached while it waits', async () => {
    await using dir = await temp()
    await using store = await openPaused(dir.path)
    await store.put(blobOf('1', 4 * MIB), { key: '1' })
    const bytes = new Uint8Array(1000)
    const waiting = store.put(bytes, { key: '2' })
    waiting.catch(() => {})
    // By the time these are listed it waits for room.
    await Array.fromAsync(store.list())
    structuredClone(bytes, { transfer: [bytes.buffer] })
    await store.delete('1')
    await expect(waiting).rejects.toMatchObject({ code: 'SOURCE_CHANGED' })
    expect(await store.has('2')).toBe(false)
  })

  test('is let in by a delete', async () => {
    await using dir = await temp()
    await using store = await openPaused(dir.path)
    await store.put(blobOf('1', 4 * MIB), { key: '1' })
    const waiting = store.put(blobOf('2'), { key: '2' })
    await store.delete('1')
    await waiting
  })

  test('ends with CLOSED when the store closes', async () => {
    await using dir = await temp()
    const store = await openPaused(dir.path)
    await store.put(blobOf('1', 4 * MIB), { key: '1' })
    const waiting = store.put(blobOf('2'), { key: '2' }).catch((error: StorageError) => error.code)
    const reopened = store.close().then(() => openPaused(dir.path))
    expect(await waiting).toBe('CLOSED')
    // What was kept is counted by the next process, too.
    await using next = await reopened
    const abort = new AbortController()
    const again = next.put(blobOf('2'), { signal: abort.signal })
    abort.abort()
    await expect(again).rejects.toMatchObject({ code: 'ABORTED' })
  })

  test('does not wait where no process syncs: nothing would make room', async () => {
    await using dir = await temp()
    await using store = await openBounded(dir.path, { sync: false })
    await store.put(blobOf('1', 4 * MIB), { key: '1' })
    await expect(store.put(blobOf('2'))).rejects.toMatchObject({ code: 'STAGING_FULL' })
  })
})

describe('above the high-water mark', () => {
  test('puts go on while one backend has the bytes and the other is away; that one reads them from the first', async () => {
    await using dir = await temp()
    await using store = await openBounded(dir.path)
    await store.pause('b')
    const names = Array.from({ length: 20 }, (_, i) => `k${i}`)
    for (const name of names) await store.put(blobOf(name), { key: name })
    await store.synced(undefined, { backends: ['a'] })
    for (const name of names) expect((await store.get(name)).equals(blobOf(name))).toBe(true)
    await store.resume('b')
    await store.synced()
    for (const name of names) expect((await store.get(name, { backend: 'b' })).equals(blobOf(name))).toBe(true)
  })

  test('a copy that jobs still need cannot be dropped', async () => {
    await using dir = await temp()
    await using store = await openBounded(dir.path)
    await store.pause('b')
    await store.put(blobOf('1', 4 * MIB), { key: '1' })
    // Only by the release of the first is there room for the second.
    await store.put(blobOf('2', 4 * MIB), { key: '2' })
    await expect(store.delete('1', { backends: ['a'] })).rejects.toMatchObject({ code: 'PRECONDITION_FAILED' })
    await store.resume('b')
    await store.synced()
    expect(await store.delete('1', { backends: ['a'] })).toEqual({ deleted: [], pending: ['a'] })
    expect((await store.get('1')).equals(blobOf('1', 4 * MIB))).toBe(true)
  })

  test('bytes that were released are staged again by a put of the same bytes under another key', async () => {
    await using dir = await temp()
    await using store = await openBounded(dir.path)
    await store.pause('b')
    await store.put(blobOf('1', 4 * MIB), { key: '1' })
    await store.put(blobOf('2', 3 * MIB), { key: '2' })
    await store.synced(undefined, { backends: ['a'] })
    await store.pause('a')
    await store.put(blobOf('1', 4 * MIB), { key: 'other' })
    // Without these bytes `other` would have nothing to be read from.
    await store.delete('1')
    expect((await store.get('other')).equals(blobOf('1', 4 * MIB))).toBe(true)
    await Promise.all([store.resume('a'), store.resume('b')])
    await store.synced()
    expect((await store.get('other', { backend: 'b' })).equals(blobOf('1', 4 * MIB))).toBe(true)
  })
})

describe('openStore()', () => {
  test.for([
    [{ limit: 0 }, 'staging.limit must be a number of bytes'],
    [{ limit: 'much' }, 'staging.limit must be a number of bytes from 1'],
    [{ limit: [4] }, 'staging.limit must be a number of bytes from 1, or a text like "500 MB" or "1GiB", not array'],
    [{ whenFull: 'drop' }, 'staging.whenFull must be "wait" or "refuse"'],
    [{ size: 1 }, 'size'],
    ['4GB', 'staging must be an object, not string'],
  ])('with staging: %j rejects INVALID_ARGUMENT', async ([staging, detail]) => {
    await using dir = await temp()
    const invalid = { code: 'INVALID_ARGUMENT', message: expect.stringContaining(detail as string) }
    await expect(openBounded(dir.path, { staging } as never)).rejects.toMatchObject(invalid)
  })
})

const KEYS = ['k', 'l', 'm']
const TEXTS = ['aaa', 'bbb', 'ccc']
const BACKENDS = ['x', 'y', 'z']

/** A store that is always above its high-water mark, with two backends of layout key and one of layout id. */
async function openWorld(directory: string) {
  const ledger = new MemoryLedger()
  const index = new BlobIndex(ledger)
  const queue = new JobQueue(ledger)
  const staging = await DurableStaging.open({ ledger, path: directory, limit: 1e6, highWater: 0 })
  const syncer = await SyncD.open({ ledger, index, queue, staging })
  const places = new Map(BACKENDS.map((name) => [name, new MemoryPlace()]))
  const backends = Object.fromEntries(
    [...places].map(([name, place]) => {
      return [name, { backend: new MemoryBackend({ place }), layout: name === 'z' ? 'id' : 'key' } as const]
    }),
  )
  const store = new StoreD({
    ledger,
    index,
    queue,
    staging,
    syncer,
    checksums,
    mimeTypeOf: () => 'text/plain',
    backends,
  })
  return { store, index, staging, places, paused: new Set<string>() }
}
type World = Awaited<ReturnType<typeof openWorld>>

const OWES = ['pending', 'failed', 'conflict']

/** What is known of a blob, and whether it is staged, at one moment. */
function look({ index, staging }: World, id: ReturnType<typeof idOf>) {
  return staging.ledger.look((view) => ({
    locations: (['owing', 'synced', 'missing', 'wrong', 'deleting'] as const).flatMap((standing) =>
      index.locations(view, id, standing),
    ),
    isStaged: staging.has(view, id),
  }))
}

/** Every place that owes bytes has them staged, or a copy that a backend really holds. */
async function checkNothingIsLost(world: World): Promise<void> {
  for (const text of TEXTS) {
    const { locations, isStaged } = await look(world, idOf(text))
    const owing = locations.filter(({ state }) => OWES.includes(state))
    const copies = locations.filter(({ backend, key, state }) => {
      const bytes = world.places.get(backend)?.blobs.get(key)?.bytes
      return state === 'synced' && bytes !== undefined && Buffer.from(bytes).toString() === text
    })
    if (owing.length > 0 && !isStaged) expect(copies, `${text} is owed to ${owing[0]?.backend}`).not.toEqual([])
  }
}

type Step = (world: World) => Promise<unknown>
const key = fc.constantFrom(...KEYS)
const text = fc.constantFrom(...TEXTS)
const backends = fc.subarray(BACKENDS, { minLength: 1 })
const named = (title: string, step: Step): Step => Object.assign(step, { [fc.toStringMethod]: () => title })

const puts = fc
  .tuple(text, key, backends)
  .map(([text, key, backends]) =>
    named(`put ${text} at ${key} to ${backends}`, ({ store }) => store.put(Buffer.from(text), { key, backends })),
  )
const deletions = fc
  .oneof(key, text.map(idOf))
  .map((name) => named(`delete ${name}`, ({ store }) => store.delete(name)))
const drops = fc
  .tuple(fc.oneof(key, text.map(idOf)), backends)
  .map(([name, backends]) => named(`drop ${name} from ${backends}`, ({ store }) => store.delete(name, { backends })))
const outages = fc.constantFrom(...BACKENDS).map((name) =>
  named(`${name} goes, or comes back`, async ({ store, paused }) => {
    if (paused.delete(name)) return store.resume(name)
    paused.add(name)
    return store.pause(name)
  }),
)
const settlements = fc.constant(
  named('all jobs end that can', ({ store, paused }) =>
    store.synced(undefined, { backends: BACKENDS.filter((name) => !paused.has(name)) }),
  ),
)

test('whatever is put, deleted, dropped and away at the same moment: what is owed is staged or has a copy, and arrives', async () => {
  const together = fc.array(fc.oneof(puts, puts, deletions, drops, outages), { minLength: 1, maxLength: 3 })
  const steps = fc.array(fc.oneof(together, fc.tuple(settlements)), { maxLength: 20 })
  await fc.assert(
    fc.asyncProperty(steps, async (run) => {
      await using dir = await temp()
      const world = await openWorld(dir.path)
      await using store = world.store
      for (const together of run) {
        const outcomes = await Promise.allSettled(together.map((step) => step(world)))
        for (const outcome of outcomes)
          if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'PRECONDITION_FAILED' })
        await checkNothingIsLost(world)
      }
      for (const name of world.paused) await store.resume(name)
      await store.synced()
      expect(world.staging.usage()).toMatchObject({ bytes: 0, count: 0 })
      for await (const { key, id, locations } of store.list())
        if (locations.some((one) => one.key === key || one.backend === 'z'))
          expect(idOf(await store.get(key, { fallback: true }))).toBe(id)
    }),
    { numRuns: 500 },
  )
})
