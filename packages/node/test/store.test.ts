import { createReadStream } from 'node:fs'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { Readable } from 'node:stream'
import { pathToFileURL } from 'node:url'
import { MemoryBackend } from '@stored/core/backend'
import { FsBackend } from '@stored/driver-fs'
import { describe, expect, test, vi } from 'vitest'
import { collect, filesBelow, idOf, openAt, temp } from './temp.ts'

const HELLO = Buffer.from('hello')
const BIG = Buffer.alloc(300_000, 'big ')

describe('put()', () => {
  test('of bytes answers with the record, before any backend has them', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { sync: false })
    const result = await store.put(HELLO, { key: 'a/hello.txt', metadata: { n: 1 } })
    expect(result).toMatchObject({
      id: idOf(HELLO),
      key: 'a/hello.txt',
      isNew: true,
      size: 5,
      mimeType: 'text/plain',
      checksums: { sha256: idOf(HELLO).slice(7) },
      custom: { n: 1 },
      locations: [
        { backend: 'a', key: 'a/hello.txt', synced: false, state: 'pending' },
        { backend: 'b', key: 'a/hello.txt', synced: false, state: 'pending' },
      ],
    })
    expect(await store.get('a/hello.txt')).toEqual(HELLO)
  })

  test('of the same bytes from every kind of source gives the same id', async () => {
    await using dir = await temp()
    const file = path.join(dir.path, 'source')
    await writeFile(file, BIG)
    await using store = await openAt(dir.path, { sync: false })
    const sources = [
      BIG,
      new Uint8Array(BIG),
      file,
      pathToFileURL(file),
      createReadStream(file),
      Readable.from([BIG.subarray(0, 7), BIG.subarray(7)]),
      new Blob([BIG]),
      new Blob([BIG]).stream(),
      [BIG.subarray(0, 100_000), BIG.subarray(100_000)],
    ]
    for (const source of sources) expect((await store.put(source)).id).toBe(idOf(BIG))
    expect(await store.get(idOf(BIG))).toEqual(BIG)
  })

  test('without a key binds the path of the id', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { sync: false })
    const hex = idOf(HELLO).slice(7)
    expect((await store.put(HELLO)).key).toBe(`blobs/sha256/${hex.slice(0, 2)}/${hex.slice(2, 4)}/${hex}`)
  })

  test.each([0, 1, 65_536, 65_537, 3_000_000])('of %i bytes stores and syncs exactly them', async (size) => {
    await using dir = await temp()
    await using store = await openAt(dir.path)
    const bytes = Buffer.alloc(size, 'x')
    const { id } = await store.put(bytes, { key: 'k' })
    expect(await store.get(id)).toEqual(bytes)
    await store.synced(id)
    expect(await store.get(id, { backend: 'a' })).toEqual(bytes)
    expect(await readFile(path.join(dir.path, 'b/k'))).toEqual(bytes)
  })

  test('of known bytes under a second key keeps one blob with both keys', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path)
    await store.put(HELLO, { key: 'one', metadata: { a: 1, b: 1 } })
    await store.synced()
    const again = await store.put(HELLO, { key: 'two', metadata: { b: 2 } })
    expect(again).toMatchObject({ isNew: false, custom: { b: 2 } })
    expect(await store.stat('one')).toMatchObject({ custom: { a: 1, b: 1 } })
    await store.synced()
    expect(await filesBelow(path.join(dir.path, 'a'))).toEqual({ one: 'hello', two: 'hello' })
    expect((await store.stat(again.id))?.locations).toHaveLength(4)
  })

  test('to a key that is bound to other bytes replaces them everywhere', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path)
    await store.put(Buffer.from('one'), { key: 'k' })
    await store.synced()
    await store.put(Buffer.from('two'), { key: 'k', backends: ['a'] })
    await store.synced()
    expect((await store.get('k')).toString()).toBe('two')
    expect(await filesBelow(path.join(dir.path, 'a'))).toEqual({ k: 'two' })
    // The stale copy would be read as this key's by anyone who looks into the folder.
    expect(await filesBelow(path.join(dir.path, 'b'))).toEqual({})
    expect(await store.stat(idOf('one'))).toBeNull()
  })

  test('of a blob under many keys goes through while its copies settle', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path)
    for (const name of ['a', 'b'] as const) await store.pause(name)
    for (let i = 0; i < 300; i++) await store.put(HELLO, { key: `before ${i}` })
    for (const name of ['a', 'b'] as const) await store.resume(name)
    for (let i = 0; i < 5; i++) await store.put(HELLO, { key: `meanwhile ${i}` })
    await store.synced()
    expect(await collect(store.list())).toHaveLength(305)
  })

  test('twenty times to one key in a row leaves the last bytes', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path)
    for (let i = 0; i < 20; i++) await store.put(Buffer.from(`v${i}`), { key: 'k' })
    await store.synced()
    expect(await filesBelow(path.join(dir.path, 'a'))).toEqual({ k: 'v19' })
    expect(await filesBelow(path.join(dir.path, 'b'))).toEqual({ k: 'v19' })
    expect((await collect(store.list())).map(({ id }) => id)).toEqual([idOf('v19')])
  })

  test('to one key, many at once, leaves one of them everywhere', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path)
    await Promise.all(Array.from({ length: 30 }, (_, i) => store.put(Buffer.from(`v${i}`), { key: 'k' })))
    await store.synced()
    const winner = (await store.get('k')).toString()
    expect(await filesBelow(path.join(dir.path, 'a'))).toEqual({ k: winner })
    expect(await filesBelow(path.join(dir.path, 'b'))).toEqual({ k: winner })
  })

  test('with ifAbsent to a bound key rejects with ALREADY_EXISTS; many at once let one win', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { sync: false })
    const tries = Array.from({ length: 20 }, (_, i) => store.put(Buffer.from(`v${i}`), { key: 'k', ifAbsent: true }))
    const settled = await Promise.allSettled(tries)
    expect(settled.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    for (const one of settled)
      if (one.status === 'rejected') expect(one.reason).toMatchObject({ code: 'ALREADY_EXISTS' })
  })

  test('with ifMatch stores only over that blob', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { sync: false })
    const stale = store.put(HELLO, { key: 'k', ifMatch: idOf('x') })
    await expect(stale).rejects.toMatchObject({ code: 'PRECONDITION_FAILED' })
    await store.put(HELLO, { key: 'k' })
    await store.put(BIG, { key: 'k', ifMatch: idOf(HELLO) })
    expect(await store.get('k')).toEqual(BIG)
  })

  test('of bytes that are not what was expected stores nothing', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { sync: false })
    const wrongSum = store.put(BIG, { key: 'k', expect: { checksum: idOf('x') } })
    await expect(wrongSum).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH' })
    await expect(store.put(BIG, { key: 'k', expect: { size: 1 } })).rejects.toMatchObject({ code: 'SIZE_MISMATCH' })
    expect(await store.has('k')).toBe(false)
    expect(await filesBelow(path.join(dir.path, 'store/staging'))).toEqual({})
  })

  test('reports progress', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { sync: false })
    const seen: unknown[] = []
    await store.put(HELLO, { onProgress: (progress) => seen.push(progress) })
    expect(seen).toEqual([{ bytes: 5, total: 5 }])
  })

  test('whose source stalls ends with ABORTED when it is aborted, and leaves nothing', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { sync: false })
    const abort = new AbortController()
    const stalled = new Readable({ read() {} })
    stalled.push(BIG)
    const putting = store.put(stalled, {
      key: 'k',
      signal: abort.signal,
      onProgress: () => abort.abort(new Error('enough')),
    })
    await expect(putting).rejects.toMatchObject({ code: 'ABORTED', name: 'AbortError', cause: { message: 'enough' } })
    expect(stalled.destroyed).toBe(true)
    expect(await store.has('k')).toBe(false)
    expect(await filesBelow(path.join(dir.path, 'store/staging'))).toEqual({})
  })
})

describe('get()', () => {
  test('of an unknown id or key rejects with NOT_FOUND', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path)
    await expect(store.get('nope')).rejects.toMatchObject({ code: 'NOT_FOUND', at: { op: 'get', key: 'nope' } })
    await expect(store.get(idOf('nope'))).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  test('of a range answers these bytes, staged or synced, and refuses one past the end', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path)
    const { id } = await store.put(BIG)
    const slice = BIG.subarray(1000, 201_000)
    expect(await store.get(id, { range: { offset: 1000, length: 200_000 } })).toEqual(slice)
    await store.synced()
    expect(await store.get(id, { range: { offset: 1000, length: 200_000 } })).toEqual(slice)
    expect(await store.get(id, { range: { offset: 299_999, length: 50 } })).toEqual(BIG.subarray(299_999))
    await expect(store.get(id, { range: { offset: 300_000 } })).rejects.toMatchObject({ code: 'RANGE_NOT_SATISFIABLE' })
    await expect(store.get(id, { range: { offset: -1 } })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })

  test('with stream: true gives a Readable of the same bytes', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path)
    const { id } = await store.put(BIG)
    expect(Buffer.concat(await collect(await store.get(id, { stream: true })))).toEqual(BIG)
    await store.synced()
    expect(Buffer.concat(await collect(await store.get(id, { stream: true })))).toEqual(BIG)
  })

  test('of a copy whose bytes were flipped rejects with CHECKSUM_MISMATCH, names the others, and marks it', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path)
    const { id } = await store.put(HELLO, { key: 'k' })
    await store.synced()
    await writeFile(path.join(dir.path, 'a/k'), 'hellO')
    const reading = store.get(id)
    await expect(reading).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH', at: { backend: 'a' } })
    expect((await store.stat(id))?.locations).toMatchObject([
      { backend: 'a', state: 'unknown', synced: false },
      { backend: 'b', state: 'synced' },
    ])
    expect(await store.get(id)).toEqual(HELLO)
  })

  test('of a copy that vanished says so and marks it missing; fallback: true reads the other', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path)
    const { id } = await store.put(HELLO, { key: 'k' })
    await store.synced()
    await rm(path.join(dir.path, 'a/k'))
    await expect(store.get(id)).rejects.toThrow(/other copies: b/)
    expect((await store.stat(id))?.locations[0]).toMatchObject({ backend: 'a', state: 'missing' })
    await store.put(HELLO, { key: 'k' })
    await store.synced()
    await rm(path.join(dir.path, 'a/k'))
    expect(await store.get(id, { fallback: true })).toEqual(HELLO)
  })

  test('with backend reads that copy and no other', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { defaultBackends: ['a'] })
    const { id } = await store.put(HELLO)
    await store.synced()
    expect(await store.get(id, { backend: 'a' })).toEqual(HELLO)
    await expect(store.get(id, { backend: 'b' })).rejects.toMatchObject({ code: 'NOT_FOUND', at: { backend: 'b' } })
  })
})

describe('delete()', () => {
  test('of a key unbinds it at once and removes its objects', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path)
    const { id } = await store.put(HELLO, { key: 'one' })
    await store.put(HELLO, { key: 'two' })
    await store.synced()
    expect(await store.delete('one')).toEqual({ deleted: ['one'], pending: ['a', 'b'] })
    expect(await store.has('one')).toBe(false)
    expect(await store.get('two')).toEqual(HELLO)
    await store.synced()
    expect(await filesBelow(path.join(dir.path, 'a'))).toEqual({ two: 'hello' })
    await store.delete('two')
    expect(await store.stat(id)).toBeNull()
    await store.synced()
    expect(await filesBelow(path.join(dir.path, 'a'))).toEqual({})
  })

  test('of an id removes all keys and copies; of an unknown one answers with empty lists', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path)
    const { id } = await store.put(HELLO, { key: 'one' })
    await store.put(HELLO, { key: 'two' })
    expect(await store.delete(id)).toEqual({ deleted: ['one', 'two'], pending: ['a', 'b'] })
    expect(await store.delete(id)).toEqual({ deleted: [], pending: [] })
    expect(await store.delete('nope')).toEqual({ deleted: [], pending: [] })
    await store.synced()
    expect(await filesBelow(path.join(dir.path, 'a'))).toEqual({})
  })

  test('of one of two keys keeps the shared object of layout id until the last', async () => {
    await using dir = await temp()
    const root = path.join(dir.path, 'a')
    await using store = await openAt(dir.path, { backends: { a: { driver: 'fs', root, layout: 'id' } } })
    const { locations } = await store.put(HELLO, { key: 'one' })
    await store.put(HELLO, { key: 'two' })
    await store.synced()
    expect(locations.map(({ key }) => key)).toEqual([expect.stringMatching(/^blobs\/sha256\//)])
    expect((await store.delete('one')).pending).toEqual([])
    expect(await store.get('two')).toEqual(HELLO)
    await store.delete('two')
    await store.synced()
    expect(await filesBelow(root)).toEqual({})
  })

  test('of some of many keys, and puts of other bytes to some, go through while the copies of all settle', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path)
    for (const name of ['a', 'b'] as const) await store.pause(name)
    for (let i = 0; i < 100; i++) await store.put(HELLO, { key: `k${i}` })
    for (const name of ['a', 'b'] as const) await store.resume(name)
    for (let i = 0; i < 100; i += 4) {
      await store.delete(`k${i}`)
      await store.put(Buffer.from('other'), { key: `k${i + 1}` })
    }
    await store.synced()
    const kept = Array.from({ length: 100 }, (_, i) => [`k${i}`, i % 4 === 1 ? 'other' : 'hello'] as const)
    const expected = Object.fromEntries(kept.filter((_, i) => i % 4 !== 0))
    for (const name of ['a', 'b']) expect(await filesBelow(path.join(dir.path, name))).toEqual(expected)
    expect((await store.status()).staging).toMatchObject({ count: 0, bytes: 0 })
  })

  test('with backends drops copies there and refuses to drop the last', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path)
    const { id } = await store.put(HELLO, { key: 'k' })
    await store.synced()
    expect(await store.delete('k', { backends: ['a'] })).toEqual({ deleted: [], pending: ['a'] })
    await store.synced()
    await expect(store.delete(id, { backends: ['b'] })).rejects.toMatchObject({ code: 'PRECONDITION_FAILED' })
    expect(await store.get('k')).toEqual(HELLO)
    expect(await filesBelow(path.join(dir.path, 'a'))).toEqual({})
  })

  test('followed by a put of the same key and bytes ends with the bytes there', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path)
    for (let i = 0; i < 10; i++) {
      await store.put(HELLO, { key: 'k' })
      await store.delete('k')
    }
    await store.put(HELLO, { key: 'k' })
    await store.synced()
    expect(await filesBelow(path.join(dir.path, 'a'))).toEqual({ k: 'hello' })
    expect(await store.get('k', { backend: 'b' })).toEqual(HELLO)
  })
})

/** A backend whose puts wait at a gate. */
class GatedBackend extends MemoryBackend {
  readonly gate = Promise.withResolvers<void>()
  readonly arrived = Promise.withResolvers<void>()
  puts = 0

  override async put(...args: Parameters<MemoryBackend['put']>) {
    this.puts++
    this.arrived.resolve()
    await this.gate.promise
    return super.put(...args)
  }
}

describe('while a job is running', () => {
  test('delete() and put() of the same key and bytes end with one copy, written once', async () => {
    await using dir = await temp()
    const backend = new GatedBackend()
    await using store = await openAt(dir.path, { backends: { m: backend } })
    await store.put(HELLO, { key: 'k' })
    await backend.arrived.promise
    await store.delete('k')
    await store.put(HELLO, { key: 'k' })
    backend.gate.resolve()
    await store.synced()
    expect(await store.get('k', { backend: 'm' as never })).toEqual(HELLO)
    expect(backend.puts).toBe(1)
  })

  test('put() of other bytes to its key lets it end, then overwrites', async () => {
    await using dir = await temp()
    const backend = new GatedBackend()
    await using store = await openAt(dir.path, { backends: { m: backend } })
    await store.put(HELLO, { key: 'k' })
    await backend.arrived.promise
    await store.put(BIG, { key: 'k' })
    backend.gate.resolve()
    await store.synced()
    expect(await store.get('k', { backend: 'm' as never })).toEqual(BIG)
    expect(await store.stat(idOf(HELLO))).toBeNull()
    expect(backend.puts).toBe(2)
  })

  test('delete() of its key removes what it wrote', async () => {
    await using dir = await temp()
    const backend = new GatedBackend()
    await using store = await openAt(dir.path, { backends: { m: backend } })
    await store.put(HELLO, { key: 'k' })
    await backend.arrived.promise
    await store.delete('k')
    backend.gate.resolve()
    await store.synced()
    expect(await backend.stat('k', { signal: new AbortController().signal })).toBeNull()
    expect(await filesBelow(path.join(dir.path, 'store/staging'))).toEqual({})
  })
})

describe('a file on the backend that StoreD did not write', () => {
  test('is never overwritten: the job is parked, the location in conflict, the bytes stay staged', async () => {
    await using dir = await temp()
    await mkdir(path.join(dir.path, 'a'))
    await writeFile(path.join(dir.path, 'a/k'), 'stranger')
    await using store = await openAt(dir.path, { defaultBackends: ['a'] })
    const { id } = await store.put(HELLO, { key: 'k' })
    await expect(store.synced()).rejects.toMatchObject({ code: 'ALREADY_EXISTS', at: { backend: 'a', key: 'k' } })
    expect((await store.stat(id))?.locations).toMatchObject([{ state: 'conflict', error: { code: 'ALREADY_EXISTS' } }])
    expect(await filesBelow(path.join(dir.path, 'a'))).toEqual({ k: 'stranger' })
    expect(await store.get(id)).toEqual(HELLO)
    await store.delete('k')
    await store.synced()
    expect(await filesBelow(path.join(dir.path, 'a'))).toEqual({ k: 'stranger' })
  })

  test('with the same bytes is the copy that was owed', async () => {
    await using dir = await temp()
    await mkdir(path.join(dir.path, 'a'))
    await writeFile(path.join(dir.path, 'a/k'), HELLO)
    await using store = await openAt(dir.path, { defaultBackends: ['a'] })
    const { id } = await store.put(HELLO, { key: 'k' })
    await store.synced()
    expect((await store.stat(id))?.locations).toMatchObject([{ state: 'synced' }])
  })

  test('is overwritten where the backend is configured so', async () => {
    await using dir = await temp()
    const root = path.join(dir.path, 'a')
    await mkdir(root)
    await writeFile(path.join(root, 'k'), 'stranger')
    await using store = await openAt(dir.path, { backends: { a: { driver: 'fs', root, overwrite: true } } })
    await store.put(HELLO, { key: 'k' })
    await store.synced()
    expect(await filesBelow(root)).toEqual({ k: 'hello' })
  })

  test('in place of a copy of ours is neither overwritten nor deleted', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { defaultBackends: ['a'] })
    await store.put(HELLO, { key: 'k' })
    await store.synced()
    await rm(path.join(dir.path, 'a/k'))
    await writeFile(path.join(dir.path, 'a/k'), 'edited by hand')
    await store.put(BIG, { key: 'k' })
    await expect(store.synced('k')).rejects.toMatchObject({ code: 'PRECONDITION_FAILED' })
    await store.delete('k')
    await expect(store.synced()).rejects.toMatchObject({ code: 'PRECONDITION_FAILED' })
    expect(await filesBelow(path.join(dir.path, 'a'))).toEqual({ k: 'edited by hand' })
  })
})

describe('list()', () => {
  test('is in UTF-8 order of keys, by prefix, after, limit and backend', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { sync: false })
    const keys = ['b', 'a/2', 'a/1', 'a', 'a.b', '\u{1F600}', '\uFF5E']
    for (const key of keys) await store.put(Buffer.from(key), { key, backends: key === 'b' ? ['b'] : ['a'] })
    const names = async (options: Parameters<typeof store.list>[0]) =>
      (await collect(store.list(options))).map(({ key }) => key)
    expect(await names({})).toEqual(['a', 'a.b', 'a/1', 'a/2', 'b', '\uFF5E', '\u{1F600}'])
    expect(await names({ prefix: 'a/' })).toEqual(['a/1', 'a/2'])
    expect(await names({ prefix: 'a', after: 'a.b' })).toEqual(['a/1', 'a/2'])
    expect(await names({ limit: 2 })).toEqual(['a', 'a.b'])
    expect(await names({ backend: 'b' })).toEqual(['b'])
  })
})

describe('a store that is opened again', () => {
  test('knows everything and goes on with what it owes', async () => {
    await using dir = await temp()
    {
      await using store = await openAt(dir.path, { sync: false })
      await store.put(HELLO, { key: 'small' })
      await store.put(BIG, { key: 'big' })
    }
    await using store = await openAt(dir.path)
    expect(await store.get('big')).toEqual(BIG)
    await store.synced()
    expect(Object.keys(await filesBelow(path.join(dir.path, 'b'))).sort()).toEqual(['big', 'small'])
    expect(await filesBelow(path.join(dir.path, 'store/staging'))).toEqual({})
  })
})

describe('a backend that is away', () => {
  test('fails no put, and gets its copies when it is back', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path)
    await store.put(HELLO, { key: 'before' })
    await store.synced()
    await rename(path.join(dir.path, 'b'), path.join(dir.path, 'away'))
    const retried = new Promise((resolve) => store.on('sync:retry', resolve))
    const { id } = await store.put(BIG, { key: 'k' })
    expect(await retried).toMatchObject({ backend: 'b', key: 'k', attempts: 1, error: { code: 'UNAVAILABLE' } })
    await store.synced(id, { backends: ['a'] })
    await store.synced(id, { copies: 1 })
    expect((await store.stat(id))?.locations).toMatchObject([{ state: 'synced' }, { state: 'pending' }])
    await rename(path.join(dir.path, 'away'), path.join(dir.path, 'b'))
    await store.synced()
    expect(await readFile(path.join(dir.path, 'b/k'))).toEqual(BIG)
  })

  test('costs the jobs of processes that come and go hardly an attempt', async () => {
    await using dir = await temp()
    for (let process = 0; process < 10; process++) {
      await using store = await openAt(dir.path)
      if (process === 0) {
        await store.put(HELLO)
        await store.synced()
        await rename(path.join(dir.path, 'b'), path.join(dir.path, 'away'))
      }
      const failed = new Promise((resolve) => store.on('sync:retry', resolve))
      for (let i = 0; i < 8; i++) await store.put(Buffer.from(`${process} ${i}`), { key: `${process} ${i}` })
      await failed
    }
    await using store = await openAt(dir.path, { sync: false })
    const attempts = (await collect(store.jobs({ backend: 'b' }))).map((job) => job.attempts)
    expect(attempts).toHaveLength(80)
    expect(attempts.reduce((sum, one) => sum + one)).toBeLessThanOrEqual(10)
  })
})

describe('backends', () => {
  test('are added, listed and removed; removing one that still owes or alone holds something is refused', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { backends: {} })
    await expect(store.put(HELLO)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    store.addBackend('m', { backend: new MemoryBackend() })
    expect(() => store.addBackend('m', { backend: new MemoryBackend() })).toThrow(
      expect.objectContaining({ code: 'ALREADY_EXISTS' }),
    )
    const { id } = await store.put(HELLO)
    await store.synced()
    expect(await store.listBackends()).toMatchObject([
      { name: 'm', driver: 'memory', layout: 'key', jobs: { waiting: 0, parked: 0 } },
    ])
    const only = store.removeBackend('m' as never)
    await expect(only).rejects.toThrow(/only copy/)
    await store.removeBackend('m' as never, { force: true })
    expect((await store.stat(id))?.locations).toMatchObject([{ backend: 'm', state: 'detached', synced: false }])
    await expect(store.get(id)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  })

  test('removed and added again count no copy until a read of it, or verify(), tells that it is there', async () => {
    await using dir = await temp()
    const root = path.join(dir.path, 'm')
    await using store = await openAt(dir.path, { backends: { m: { driver: 'fs', root } } })
    // More than one commit's worth.
    const keys = Array.from({ length: 1100 }, (_, i) => `${i}`)
    await Promise.all(keys.map((key) => store.put(Buffer.from(key), { key })))
    await store.synced()
    await store.removeBackend('m' as never, { force: true })
    await rm(path.join(root, '0'))
    store.addBackend('m', { backend: new FsBackend({ root }) })
    const states = async () => (await collect(store.list({ missing: true }))).map(({ locations: [one] }) => one?.state)
    expect(new Set(await states())).toEqual(new Set(['unknown']))
    expect(await store.get('1')).toEqual(Buffer.from('1'))
    expect((await states()).filter((state) => state === 'synced')).toHaveLength(1)
    await collect(store.verify())
    expect((await states()).filter((state) => state === 'synced')).toHaveLength(1099)
    expect((await store.stat('0'))?.locations).toMatchObject([{ state: 'missing' }])
    expect(await store.get('1')).toEqual(Buffer.from('1'))
  })

  test('are not removed while one of them alone holds a key, although the blob lies elsewhere under another', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path)
    const { id } = await store.put(HELLO, { key: 'x' })
    await store.put(HELLO, { key: 'y', backends: ['a'] })
    await store.synced()
    // Deleting x would take the copy on b with it.
    await expect(store.removeBackend('a')).rejects.toMatchObject({ code: 'PRECONDITION_FAILED', at: { key: 'y' } })
    await store.put(HELLO, { key: 'y', backends: ['b'] })
    await store.synced()
    await store.removeBackend('a')
    await store.delete('x')
    await store.synced()
    expect(await store.get(id)).toEqual(HELLO)
  })
})

describe('events', () => {
  test('put, sync:start, sync:complete and delete come with their payloads; a listener that throws breaks nothing', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { defaultBackends: ['a'] })
    const seen: unknown[] = []
    const warned = new Promise((resolve) => process.once('warning', resolve))
    store.on('put', () => {
      throw new Error('listener')
    })
    for (const type of ['put', 'sync:start', 'sync:complete', 'delete'] as const)
      store.on(type, ({ type, checksum }) => seen.push([type, checksum]))
    const { id } = await store.put(HELLO, { key: 'k' })
    await store.synced()
    await store.delete('k')
    expect(seen).toEqual([
      ['put', id],
      ['sync:start', id],
      ['sync:complete', id],
      ['delete', id],
    ])
    expect(await warned).toMatchObject({ message: 'listener' })
  })
})

describe('close()', () => {
  test('is safe to repeat; whatever is called later rejects with CLOSED', async () => {
    await using dir = await temp()
    const store = await openAt(dir.path)
    await store.close()
    await store.close()
    await expect(store.put(HELLO)).rejects.toMatchObject({ code: 'CLOSED' })
    await expect(store.stat('k')).rejects.toMatchObject({ code: 'CLOSED' })
    expect(() => store.list()).toThrow(expect.objectContaining({ code: 'CLOSED' }))
  })

  test('ends a put whose source stalls, after a grace', async () => {
    await using dir = await temp()
    const store = await openAt(dir.path)
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    try {
      const putting = expect(store.put(new Readable({ read() {} }))).rejects.toMatchObject({ code: 'CLOSED' })
      const closing = store.close()
      await vi.advanceTimersByTimeAsync(5000)
      await putting
      await closing
    } finally {
      vi.useRealTimers()
    }
  })
})
