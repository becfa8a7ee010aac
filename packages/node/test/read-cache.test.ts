import { mkdir, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { MemoryBackend, MemoryPlace, StorageError } from '@stored/core/backend'
import { type CacheConfig, openStore } from '@stored/node'
import { DurableStaging } from '@stored/staging'
import { describe, expect, test, vi } from 'vitest'
import { idOf, temp } from './temp.ts'

const HELLO = Buffer.from('hello')
const MIB = 1024 * 1024
const LARGE = Buffer.from(Array.from({ length: 3 * MIB + 5 }, (_, i) => (i * 7) >> 9))

/** A backend that a cache is good for, and how often it was read. */
function remote(place = new MemoryPlace()) {
  const backend = new MemoryBackend({ place })
  Object.defineProperty(backend, 'capabilities', { value: { ...backend.capabilities, local: false } })
  return { backend, gets: vi.spyOn(backend, 'get') }
}

async function openRemote(directory: string, more: { sync?: boolean; cache?: CacheConfig | false } = {}) {
  const { backend, gets } = remote()
  const store = await openStore({ path: path.join(directory, 'store'), backends: { far: backend }, cache: {}, ...more })
  return { store, gets, backend, [Symbol.asyncDispose]: () => store.close() }
}
type Opened = Awaited<ReturnType<typeof openRemote>>

async function putSynced({ store }: Opened, bytes: Buffer, key = 'k'): Promise<`sha256:${string}`> {
  const { id } = await store.put(bytes, { key })
  await store.synced()
  return id
}

/** Put, synced, read once: in the cache. */
async function putCached(opened: Opened, bytes: Buffer, key = 'k'): Promise<`sha256:${string}`> {
  const id = await putSynced(opened, bytes, key)
  await opened.store.get(key)
  await opened.store.cache.stats()
  opened.gets.mockClear()
  return id
}

async function streamed(store: Opened['store'], name: string): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(await store.get(name, { stream: true })))
}

async function filesBelow(root: string): Promise<string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .sort()
}

describe('get()', () => {
  test.each([HELLO, LARGE])('reads a blob from its backend once', async (bytes) => {
    await using dir = await temp()
    await using opened = await openRemote(dir.path)
    const { store, gets } = opened
    const id = await putSynced(opened, bytes)
    for (const name of ['k', id, 'k']) {
      expect(idOf(await store.get(name))).toBe(id)
      await store.cache.stats()
    }
    expect(idOf(await streamed(store, id))).toBe(id)
    expect(gets).toHaveBeenCalledOnce()
    expect(await store.cache.stats()).toEqual({
      entries: 1,
      size: bytes.length,
      maxSize: 1e9,
      hits: 3,
      misses: 1,
      bytes: 3 * bytes.length,
    })
  })

  test('of staged bytes asks neither the cache nor a backend', async () => {
    await using dir = await temp()
    await using opened = await openRemote(dir.path, { sync: false })
    await opened.store.put(HELLO, { key: 'k' })
    expect(await opened.store.get('k')).toEqual(HELLO)
    expect(await opened.store.cache.stats()).toMatchObject({ hits: 0, misses: 0 })
  })

  test('with backend reads that backend', async () => {
    await using dir = await temp()
    await using opened = await openRemote(dir.path)
    await putCached(opened, HELLO)
    expect(await opened.store.get('k', { backend: 'far' })).toEqual(HELLO)
    expect(opened.gets).toHaveBeenCalledOnce()
  })

  test('of a range comes from the cache when the blob is there, and else keeps nothing', async () => {
    await using dir = await temp()
    await using opened = await openRemote(dir.path)
    const { store, gets } = opened
    const range = { offset: MIB - 3, length: MIB + 10 }
    const expected = idOf(LARGE.subarray(range.offset, range.offset + range.length))
    await putSynced(opened, LARGE)
    expect(idOf(await store.get('k', { range }))).toBe(expected)
    expect(await store.cache.stats()).toMatchObject({ entries: 0 })
    await store.get('k')
    await store.cache.stats()
    gets.mockClear()
    expect(idOf(await store.get('k', { range }))).toBe(expected)
    expect(gets).not.toHaveBeenCalled()
  })

  test('left early keeps nothing', async () => {
    await using dir = await temp()
    await using opened = await openRemote(dir.path)
    await putSynced(opened, LARGE)
    for await (const _ of await opened.store.get('k', { stream: true })) break
    expect(await opened.store.cache.stats()).toMatchObject({ entries: 0, misses: 1 })
  })

  test('of wrong bytes in the backend keeps nothing', async () => {
    await using dir = await temp()
    await using opened = await openRemote(dir.path)
    await putSynced(opened, HELLO)
    const signal = new AbortController().signal
    await opened.backend.put(
      'k',
      (async function* () {
        yield Buffer.from('hallo')
      })(),
      { signal },
    )
    await expect(opened.store.get('k')).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH' })
    expect(await opened.store.cache.stats()).toMatchObject({ entries: 0 })
  })

  test('of a blob whose nearest copy is local does without the cache', async () => {
    await using dir = await temp()
    const near = { driver: 'fs', root: path.join(dir.path, 'near') }
    await using store = await openStore({
      path: path.join(dir.path, 'store'),
      backends: { near, far: remote().backend },
      cache: {},
    })
    await store.put(HELLO, { key: 'both' })
    await store.put(LARGE, { key: 'far', backends: ['far'] })
    await store.synced()
    await store.get('both')
    expect(await store.cache.stats()).toMatchObject({ entries: 0, misses: 0 })
    for (const _ of [1, 2]) {
      await store.get('far')
      await store.cache.stats()
    }
    expect(await store.cache.stats()).toMatchObject({ entries: 1, hits: 1, misses: 1 })
  })

  test('goes on with the cache while the backend is away', async () => {
    await using dir = await temp()
    await using opened = await openRemote(dir.path)
    await putCached(opened, HELLO)
    opened.gets.mockRejectedValue(new StorageError('UNAVAILABLE', { op: 'get' }))
    expect(await opened.store.get('k')).toEqual(HELLO)
    expect(await opened.store.get('k', { fallback: true })).toEqual(HELLO)
  })

  test('after the key was bound to other bytes delivers those', async () => {
    await using dir = await temp()
    await using opened = await openRemote(dir.path)
    const former = await putCached(opened, HELLO)
    await putCached(opened, LARGE)
    expect(idOf(await opened.store.get('k'))).toBe(idOf(LARGE))
    await expect(opened.store.get(former)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  test('by a store opened later finds what an earlier one kept', async () => {
    await using dir = await temp()
    const { backend, gets } = remote()
    const config = { path: path.join(dir.path, 'store'), backends: { far: backend }, cache: {} }
    {
      await using store = await openStore(config)
      await store.put(HELLO, { key: 'k' })
      await store.synced()
      await store.get('k')
    }
    expect(gets).toHaveBeenCalledOnce()
    const again = remote()
    await using store = await openStore({ ...config, backends: { far: again.backend } })
    expect(await store.get('k')).toEqual(HELLO)
    expect(again.gets).not.toHaveBeenCalled()
  })
})

describe('a cache damaged under a store', () => {
  const damages: [string, (file: string) => Promise<unknown>][] = [
    ['with its first byte changed', (file) => change(file, 0)],
    ['with a byte in the middle changed', (file) => change(file, 0.5)],
    ['with its last byte changed', (file) => change(file, 1)],
    ['cut by a byte', async (file) => truncate(file, (await readFile(file)).length - 1)],
    ['cut in half', async (file) => truncate(file, (await readFile(file)).length >> 1)],
    ['emptied', (file) => truncate(file)],
    ['one byte longer', async (file) => writeFile(file, Buffer.concat([await readFile(file), Buffer.from('x')]))],
    ['replaced by garbage', (file) => writeFile(file, Buffer.alloc(5 * MIB, 'garbage'))],
    ['removed', (file) => rm(file)],
    ['replaced by a directory', (file) => rm(file).then(() => mkdir(file))],
  ]

  async function change(file: string, where: number): Promise<void> {
    const bytes = await readFile(file)
    const position = Math.floor(where * (bytes.length - 1))
    bytes[position] = (bytes[position] as number) ^ 1
    await writeFile(file, bytes)
  }

  describe.each([
    ['a small blob', HELLO],
    ['a blob of several blocks', LARGE],
  ])('of %s', (_, bytes) => {
    const range = { offset: Math.floor(bytes.length / 3), length: Math.ceil(bytes.length / 2) }
    const part = bytes.subarray(range.offset, range.offset + range.length)
    const reads: [string, Buffer, (store: Opened['store']) => Promise<Buffer>][] = [
      ['get()', bytes, (store) => store.get('k')],
      ['get() as a stream', bytes, (store) => streamed(store, 'k')],
      ['get() of a range', part, (store) => store.get('k', { range })],
      ['get() of a range that is the whole blob', bytes, (store) => store.get('k', { range: {} })],
    ]

    test.each(damages)('in any file, %s, delivers the right bytes all the same', async (_, damage) => {
      vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
      await using dir = await temp()
      await using opened = await openRemote(dir.path)
      const cache = path.join(dir.path, 'store/cache')
      await putCached(opened, bytes)
      const count = (await filesBelow(cache)).length
      for (let i = 0; i < count; i++) {
        for (const [, expected, read] of reads) {
          await rm(cache, { recursive: true })
          await opened.store.get('k')
          await opened.store.cache.stats()
          await damage((await filesBelow(cache))[i] as string)
          expect(idOf(await read(opened.store))).toBe(idOf(expected))
          await opened.store.cache.stats()
          expect(idOf(await read(opened.store))).toBe(idOf(expected))
        }
      }
      vi.restoreAllMocks()
    })
  })

  test('delivers nothing twice when a stream goes on with the backend', async () => {
    await using dir = await temp()
    await using opened = await openRemote(dir.path)
    const id = await putCached(opened, LARGE)
    const [content] = (await filesBelow(path.join(dir.path, 'store/cache'))).filter((file) => file.includes('content'))
    await change(content as string, 0.9)
    expect(idOf(await streamed(opened.store, id))).toBe(id)
    expect(opened.gets).toHaveBeenCalledOnce()
    opened.gets.mockClear()
    await opened.store.cache.stats()
    expect(idOf(await streamed(opened.store, id))).toBe(id)
    expect(opened.gets).not.toHaveBeenCalled()
  })
})

describe('delete()', () => {
  test('of a blob removes its bytes from the cache', async () => {
    await using dir = await temp()
    await using opened = await openRemote(dir.path)
    await putCached(opened, HELLO)
    await opened.store.delete('k')
    expect(await opened.store.cache.stats()).toMatchObject({ entries: 0, size: 0 })
    const left = await filesBelow(path.join(dir.path, 'store/cache'))
    expect(left.map((file) => path.basename(file))).toEqual(['CACHEDIR.TAG'])
  })

  test('of one of two keys leaves them there', async () => {
    await using dir = await temp()
    await using opened = await openRemote(dir.path)
    await putCached(opened, HELLO, 'one')
    await putCached(opened, HELLO, 'two')
    await opened.store.delete('one')
    expect(await opened.store.cache.stats()).toMatchObject({ entries: 1 })
  })
})

describe('cache.evict()', () => {
  const keys = ['photos/a.jpg', 'photos/2024/b.jpg', 'notes/c.txt']
  const cases: [string | RegExp, string[]][] = [
    ['photos/*', ['photos/2024/b.jpg', 'photos/a.jpg']],
    ['*.jpg', ['photos/2024/b.jpg', 'photos/a.jpg']],
    ['*/20*/*', ['photos/2024/b.jpg']],
    ['notes/c.txt', ['notes/c.txt']],
    ['notes', []],
    ['c.txt', []],
    ['*', keys.toSorted()],
    [idOf('notes/c.txt'), ['notes/c.txt']],
    ['sha256:*', keys.toSorted()],
    [/^photos\/[^/]+$/, ['photos/a.jpg']],
    [/jpg$/g, ['photos/2024/b.jpg', 'photos/a.jpg']],
  ]
  test.each(cases)('of %s removes the entries whose id or key matches', async (pattern, removed) => {
    await using dir = await temp()
    await using opened = await openRemote(dir.path)
    const { store, gets } = opened
    for (const key of keys) await putCached(opened, Buffer.from(key), key)
    const ids = (await store.cache.evictable(pattern)).map(({ id }) => id)
    expect(ids.sort()).toEqual(removed.map(idOf).sort())
    expect(await store.cache.evict(pattern)).toEqual({ entries: removed.length, bytes: removed.join('').length })
    for (const key of keys) await store.get(key)
    expect(gets.mock.calls.map(([key]) => key).sort()).toEqual(removed)
  })

  test('of oldest and oversized asks the cache', async () => {
    await using dir = await temp()
    await using opened = await openRemote(dir.path)
    for (const key of ['a', 'bb']) await putCached(opened, Buffer.from(key), key)
    expect(await opened.store.cache.evict('oversized')).toEqual({ entries: 0, bytes: 0 })
    expect(await opened.store.cache.evict('oldest')).toEqual({ entries: 1, bytes: 1 })
  })

  test.each([[''], [7], [null], [undefined], [['a']]])('of %j is refused', async (pattern) => {
    await using dir = await temp()
    await using opened = await openRemote(dir.path)
    await expect(opened.store.cache.evict(pattern as never)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })
})

test('cache.clear() empties it, and what is read afterwards is kept', async () => {
  await using dir = await temp()
  await using opened = await openRemote(dir.path)
  await putCached(opened, HELLO)
  await opened.store.cache.clear()
  expect(await opened.store.cache.stats()).toMatchObject({ entries: 0, size: 0 })
  await opened.store.get('k')
  expect(await opened.store.cache.stats()).toMatchObject({ entries: 1 })
})

describe('openStore({ cache })', () => {
  test('left out keeps nothing', async () => {
    await using dir = await temp()
    const directory = path.join(dir.path, 'store')
    await using store = await openStore({ path: directory, backends: { far: remote().backend } })
    await store.put(HELLO, { key: 'k' })
    await store.synced()
    expect(await store.get('k')).toEqual(HELLO)
    expect(await store.cache.stats()).toMatchObject({ entries: 0, maxSize: 0 })
    expect(await readdir(directory)).not.toContain('cache')
  })

  test('with false keeps nothing', async () => {
    await using dir = await temp()
    await using opened = await openRemote(dir.path, { cache: false })
    await putSynced(opened, HELLO)
    for (const _ of [1, 2]) expect(await opened.store.get('k')).toEqual(HELLO)
    expect(opened.gets).toHaveBeenCalledTimes(2)
    expect(await opened.store.cache.stats()).toEqual({ entries: 0, size: 0, maxSize: 0, hits: 0, misses: 0, bytes: 0 })
    expect(await opened.store.cache.evict('*')).toEqual({ entries: 0, bytes: 0 })
    await opened.store.cache.clear()
    await expect(readdir(path.join(dir.path, 'store/cache'))).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('keeps what is told of size, place and order', async () => {
    await using dir = await temp()
    const location = path.join(dir.path, 'elsewhere')
    await using opened = await openRemote(dir.path, { cache: { maxSize: '1KiB', location, evictionPolicy: 'fifo' } })
    await putCached(opened, Buffer.alloc(257), 'too large')
    for (const key of ['a', 'b', 'c', 'd']) await putCached(opened, Buffer.alloc(256, key), key)
    await opened.store.get('a')
    await putCached(opened, Buffer.alloc(256, 'e'), 'e')
    expect(await opened.store.cache.stats()).toMatchObject({ entries: 4, size: 1024, maxSize: 1024 })
    expect(await filesBelow(location)).not.toEqual([])
    await opened.store.get('a')
    expect(opened.gets).toHaveBeenCalledOnce()
  })

  test.each([
    ['a number', 7, /cache must be an object or false, not number/],
    ['true', true, /cache must be an object or false, not boolean/],
    ['an unknown option', { maxsize: 7 }, /unknown option "cache\.maxsize"; did you mean "cache\.maxSize"\?/],
    ['a size of the wrong type', { maxSize: true }, /cache\.maxSize must be a number of bytes from 1, .*, not boolean/],
    ['a size that is none', { maxSize: '1 XB' }, /cache\.maxSize must be a number of bytes from 1, or a text like/],
    ['no bytes', { maxSize: 0 }, /cache\.maxSize must be a number of bytes from 1/],
    ['a place of the wrong type', { location: 7 }, /cache\.location must be a string, not number/],
    ['an unknown policy', { evictionPolicy: 'lifo' }, /cache\.evictionPolicy must be "lru" or "fifo"/],
  ])('with %s is refused before anything is touched', async (_, cache, message) => {
    await using dir = await temp()
    await expect(openRemote(dir.path, { cache: cache as never })).rejects.toThrow(message)
    expect(await readdir(dir.path)).toEqual([])
  })

  test('on a disk below the reserve reads, and keeps nothing', async () => {
    await using dir = await temp()
    const place = new MemoryPlace()
    const directory = path.join(dir.path, 'store')
    const config = () => ({ path: directory, backends: { far: remote(place).backend }, cache: {} })
    {
      await using store = await openStore(config())
      await store.put(HELLO, { key: 'k' })
      await store.synced()
    }
    await using store = await openStore({ ...config(), reserve: 2 ** 50 })
    expect(await store.get('k')).toEqual(HELLO)
    expect(await store.cache.stats()).toMatchObject({ entries: 0, misses: 1 })
  })

  test('in a place that cannot be made rejects', async () => {
    await using dir = await temp()
    const file = path.join(dir.path, 'file')
    await writeFile(file, '')
    const opening = openRemote(dir.path, { cache: { location: path.join(file, 'cache') } })
    await expect(opening).rejects.toMatchObject({ name: 'StorageError' })
    // Nothing stays open: the store can be opened once the place is right.
    await using _ = await openRemote(dir.path)
  })

  test('in a place that cannot be made says so also where something else fails to close', async () => {
    await using dir = await temp()
    const location = path.join(dir.path, 'file', 'cache')
    await writeFile(path.dirname(location), '')
    vi.spyOn(DurableStaging.prototype, 'close').mockRejectedValueOnce(new Error('not this'))
    await expect(openRemote(dir.path, { cache: { location } })).rejects.toMatchObject({ code: 'MISCONFIGURED' })
    await using _ = await openRemote(dir.path)
  })
})
