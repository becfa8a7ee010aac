import { mkdir, readdir, readlink, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { MemoryBackend, StorageError } from '@stored/core/backend'
import { FsBackend } from '@stored/driver-fs'
import { openStore } from '@stored/node'
import { describe, expect, test } from 'vitest'
import { collect, filesBelow, idOf, openAt, temp } from './temp.ts'

const HELLO = Buffer.from('hello')
const BIG = Buffer.alloc(300_000, 'big ')

/** The same buffer again and again, as a reader that reuses its memory gives it. */
async function* reusing(bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
  const buffer = Buffer.alloc(size)
  for (let offset = 0; offset < bytes.length; offset += size) {
    const part = bytes.subarray(offset, offset + size)
    part.copy(buffer)
    yield buffer.subarray(0, part.length)
    buffer.fill(0)
  }
}

test('delete() of the key that names the object of a blob keeps it for another key, also once synced', async () => {
  await using dir = await temp()
  const root = path.join(dir.path, 'a')
  await using store = await openAt(dir.path, { backends: { a: { driver: 'fs', root, layout: 'id' } } })
  const { key } = await store.put(HELLO)
  await store.put(HELLO, { key: 'y' })
  await store.synced()
  await store.delete(key)
  await store.synced()
  expect(await store.get('y')).toEqual(HELLO)
})

test.each([1000, 16_384, 1_048_576])(
  'put() of a source that fills its buffer of %i bytes anew stores what it gave',
  async (size) => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { sync: false })
    const bytes = Buffer.concat(Array.from({ length: 40 }, (_, i) => Buffer.alloc(100_000, `block ${i} `)))
    const { id } = await store.put(reusing(bytes, size))
    expect(id).toBe(idOf(bytes))
    expect(await store.get(id)).toEqual(bytes)
  },
)

test('put() of one blob under many keys at once binds them all', async () => {
  await using dir = await temp()
  await using store = await openAt(dir.path)
  await Promise.all(Array.from({ length: 200 }, (_, i) => store.put(HELLO, { key: `k${i}` })))
  await store.synced()
  const copies = await Array.fromAsync(store.copies(idOf(HELLO)))
  expect(copies.filter(({ synced }) => synced)).toHaveLength(400)
})

test.each([{ prefix: 5 }, { after: 5 }, { limit: -1 }])(
  'list() of %j rejects with INVALID_ARGUMENT',
  async (options) => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { sync: false })
    await expect(async () => Array.fromAsync(store.list(options as never))).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    })
  },
)

test('get() of staged bytes of which one was flipped rejects with CHECKSUM_MISMATCH, and no backend gets them', async () => {
  await using dir = await temp()
  const staging = path.join(dir.path, 'store/staging')
  await using store = await openAt(dir.path, { sync: false })
  const { id } = await store.put(BIG, { key: 'k' })
  for (const name of await readdir(staging)) await writeFile(path.join(staging, name), Buffer.alloc(BIG.length, 'bag '))
  await expect(store.get(id)).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH' })
  await store.close()
  await using again = await openAt(dir.path)
  await expect(again.synced()).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH' })
  expect(await filesBelow(path.join(dir.path, 'a'))).toEqual({})
})

test('put() of bytes whose staged file was lost stages them anew', async () => {
  await using dir = await temp()
  await using store = await openAt(dir.path, { sync: false })
  const { id } = await store.put(BIG)
  const staging = path.join(dir.path, 'store/staging')
  for (const name of await readdir(staging)) await rm(path.join(staging, name))
  await expect(store.get(id)).rejects.toMatchObject({ code: 'CORRUPT' })
  await store.put(BIG, { key: 'again' })
  expect(await store.get(id)).toEqual(BIG)
})

describe('get()', () => {
  test('of a range of a copy that somebody changed rejects instead of giving their bytes', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { defaultBackends: ['a'] })
    const { id } = await store.put(HELLO, { key: 'k' })
    await store.synced()
    await writeFile(path.join(dir.path, 'a/k'), 'HELLO')
    const reading = store.get(id, { range: { offset: 0, length: 2 } })
    await expect(reading).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH' })
    expect((await store.stat(id))?.locations).toMatchObject([{ state: 'unknown' }])
  })

  test('of a range of a copy that has another etag, but still its bytes, reads it, and believes the new etag', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { defaultBackends: ['a'] })
    const { id } = await store.put(BIG, { key: 'k' })
    await store.synced()
    const etagOf = async () => (await store.stat(id))?.locations[0]?.etag
    const written = await etagOf()
    // Restored from a backup, touched, or on a file system that numbers its files anew each time it is mounted.
    await rm(path.join(dir.path, 'a/k'))
    await writeFile(path.join(dir.path, 'a/k'), BIG)
    const range = { offset: 100_000, length: 5 }
    expect(await store.get(id, { range })).toEqual(BIG.subarray(100_000, 100_005))
    expect((await store.stat(id))?.locations).toMatchObject([{ state: 'synced' }])
    expect(await etagOf()).not.toBe(written)
    expect(await store.get(id, { range })).toEqual(BIG.subarray(100_000, 100_005))
  })

  test('with fallback: true reads another copy when the bytes of the first turn out wrong', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path)
    const { id } = await store.put(BIG, { key: 'k' })
    await store.synced()
    await writeFile(path.join(dir.path, 'a/k'), Buffer.alloc(BIG.length, 'not '))
    expect(await store.get(id, { fallback: true })).toEqual(BIG)
  })

  test.each(['synced', 'staged'])('as a stream that is destroyed unread frees its file, %s', async (state) => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { defaultBackends: ['a'], sync: state === 'synced' })
    const { id } = await store.put(BIG)
    if (state === 'synced') await store.synced()
    const open = async () => (await readdir('/proc/self/fd')).length
    const before = await open()
    for (let i = 0; i < 20; i++) {
      const stream = await store.get(id, { stream: true })
      await new Promise((resolve) => stream.once('close', resolve).destroy())
    }
    await expect.poll(open).toBeLessThanOrEqual(before)
  })

  test.each(['synced', 'staged'])(
    'as a stream that nobody reads frees its file when the store closes, %s',
    async (state) => {
      await using dir = await temp()
      await using store = await openAt(dir.path, { defaultBackends: ['a'], sync: state === 'synced' })
      const { id } = await store.put(BIG)
      if (state === 'synced') await store.synced()
      const open = async () => {
        const targets = (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => ''))
        return (await Promise.all(targets)).filter((target) => target.startsWith(dir.path))
      }
      const stream = await store.get(id, { stream: true })
      await store.close()
      await expect.poll(open).toEqual([])
      await expect(collect(stream)).rejects.toMatchObject({ code: 'ABORTED' })
    },
  )

  test.each([undefined, '', 'a//b', 'k'.repeat(5000)])(
    'of %j rejects with INVALID_KEY, as stat, has and delete do',
    async (name) => {
      await using dir = await temp()
      await using store = await openAt(dir.path, { sync: false })
      const calls = [store.get, store.stat, store.has, store.delete] as ((name: unknown) => Promise<unknown>)[]
      for (const call of calls) await expect(call.call(store, name)).rejects.toMatchObject({ code: 'INVALID_KEY' })
    },
  )
})

test("delete() of a key whose job never began leaves a stranger's file there, also one with the same bytes", async () => {
  await using dir = await temp()
  await mkdir(path.join(dir.path, 'a'))
  await writeFile(path.join(dir.path, 'a/k'), HELLO)
  {
    await using store = await openAt(dir.path, { defaultBackends: ['a'], sync: false })
    await store.put(HELLO, { key: 'k' })
    await store.delete('k')
    await store.put(BIG, { key: 'k' })
  }
  await using store = await openAt(dir.path, { defaultBackends: ['a'] })
  await expect(store.synced()).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
  expect(await filesBelow(path.join(dir.path, 'a'))).toEqual({ k: 'hello' })
})

describe('close()', () => {
  test('ends what waits in synced()', async () => {
    await using dir = await temp()
    const backend = new MemoryBackend()
    backend.put = () => Promise.reject(new StorageError('UNAVAILABLE', { op: 'put' }))
    const store = await openAt(dir.path, { backends: { m: backend } })
    await store.put(HELLO)
    const waiting = expect(store.synced()).rejects.toMatchObject({ code: 'CLOSED' })
    await store.close()
    await waiting
  })

  test('closes the store also when a backend fails to, and says so', async () => {
    await using dir = await temp()
    const backend = new MemoryBackend()
    backend.close = () => Promise.reject(new Error('stuck'))
    const store = await openAt(dir.path, { backends: { m: backend } })
    await store.put(HELLO)
    await store.synced()
    await expect(store.close()).rejects.toThrow('stuck')
    await using again = await openAt(dir.path)
    expect(await again.has(idOf(HELLO))).toBe(true)
  })
})

test('removeBackend() counts no copy on a backend that was removed before', async () => {
  await using dir = await temp()
  await using store = await openAt(dir.path)
  const { id } = await store.put(HELLO)
  await store.synced()
  await store.removeBackend('a')
  await expect(store.removeBackend('b')).rejects.toMatchObject({ code: 'PRECONDITION_FAILED' })
  expect(await store.get(id)).toEqual(HELLO)
})

test('openStore() takes backends as objects, with options of the store beside them', async () => {
  await using dir = await temp()
  await using store = await openStore({
    path: path.join(dir.path, 'store'),
    backends: {
      plain: new FsBackend({ root: path.join(dir.path, 'a') }),
      byId: { backend: new FsBackend({ root: path.join(dir.path, 'b') }), layout: 'id' },
    },
    defaultBackends: ['byId'],
  })
  const { locations } = await store.put(HELLO, { key: 'k' })
  expect(locations).toMatchObject([{ backend: 'byId', key: expect.stringMatching(/^blobs\/sha256\//) }])
  // @ts-expect-error a name that is not configured does not compile
  await expect(store.put(HELLO, { backends: ['plane'] })).rejects.toThrow(/did you mean "plain"/)
})

test.each(['blobs/', '/x', '', '.stored'])(
  'openStore() refuses the prefix %j before anything is touched',
  async (prefix) => {
    await using dir = await temp()
    await expect(openAt(dir.path, { prefix })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    expect(await readdir(dir.path)).toEqual([])
  },
)

test.each([{ when: new Date() }, { n: Number.NaN }, { f: () => 1 }, { u: undefined }])(
  'put() refuses metadata that JSON would change: %o',
  async (metadata) => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { sync: false })
    await expect(store.put(HELLO, { metadata })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  },
)

test('a job whose bytes were deleted and put again while it began leaves the work to the newer one', async () => {
  await using dir = await temp()
  const backend = new MemoryBackend()
  const opening = Promise.withResolvers<void>()
  const began = Promise.withResolvers<void>()
  backend.open = () => {
    began.resolve()
    return opening.promise
  }
  await using store = await openAt(dir.path, { backends: { m: backend } })
  const errors: unknown[] = []
  store.on('sync:error', (event) => errors.push(event))
  await store.put(HELLO, { key: 'k' })
  await began.promise
  await store.delete('k')
  await store.put(BIG, { key: 'k' })
  await store.put(HELLO, { key: 'k' })
  opening.resolve()
  await store.synced()
  expect(errors).toEqual([])
  expect(await store.get('k', { backend: 'm' as never })).toEqual(HELLO)
})
