import path from 'node:path'
import { openStore } from '@stored/node'
import { describe, expect, test } from 'vitest'
import { collect, filesBelow, idOf, temp } from './temp.ts'

const ONE = Buffer.from('one')
const TWO = Buffer.from('two')

interface Options {
  readonly layout: 'key' | 'id'
  readonly prefix?: string
}

/** A store in `directory` with the folder `disk` as its one backend. */
function openWith(directory: string, { layout, prefix }: Options) {
  return openStore({
    path: path.join(directory, 'store'),
    backends: { disk: { driver: 'fs', root: path.join(directory, 'disk'), layout } },
    ...(prefix !== undefined && { prefix }),
  })
}

/** Where a blob lies by its id. */
function idKeyOf(bytes: Buffer, prefix = 'blobs'): string {
  const hash = idOf(bytes).slice('sha256:'.length)
  return `${prefix}/sha256/${hash.slice(0, 2)}/${hash.slice(2, 4)}/${hash}`
}

/** A source that says whether it was read. */
function watched(bytes: Buffer) {
  const source = {
    isRead: false,
    async *[Symbol.asyncIterator]() {
      source.isRead = true
      yield bytes
    },
  }
  return source
}

describe('layout id', () => {
  test('keeps one object of a key that was bound to twenty versions', async () => {
    await using dir = await temp()
    await using store = await openWith(dir.path, { layout: 'id' })
    for (let version = 1; version <= 20; version++) await store.put(Buffer.from(`version ${version}`), { key: 'k' })
    await store.synced()
    expect(await filesBelow(path.join(dir.path, 'disk'))).toEqual({
      [idKeyOf(Buffer.from('version 20'))]: 'version 20',
    })
    expect(await store.stat(idOf('version 19'))).toBeNull()
  })

  test('keeps the object of a blob that another key is bound to', async () => {
    await using dir = await temp()
    await using store = await openWith(dir.path, { layout: 'id' })
    await store.put(ONE, { key: 'k' })
    await store.put(ONE, { key: 'other' })
    await store.put(TWO, { key: 'k' })
    await store.synced()
    expect(await filesBelow(path.join(dir.path, 'disk'))).toEqual({ [idKeyOf(ONE)]: 'one', [idKeyOf(TWO)]: 'two' })
  })
})

describe('a key below <prefix>/sha256/', () => {
  test('that no blob can have by its id is INVALID_KEY, before the source is read', async () => {
    await using dir = await temp()
    await using store = await openWith(dir.path, { layout: 'id' })
    const hash = 'a'.repeat(64)
    for (const key of ['mine', `aa/aa/${hash.slice(1)}`, `ab/aa/${hash}`, `aa/aa/${hash}/x`, `AA/AA/${hash}`]) {
      const source = watched(ONE)
      await expect(store.put(source, { key: `blobs/sha256/${key}` })).rejects.toMatchObject({ code: 'INVALID_KEY' })
      expect(source.isRead, key).toBe(false)
    }
    const source = watched(ONE)
    const put = store.put(source, { key: idKeyOf(TWO), expect: { checksum: idOf(ONE) } })
    await expect(put).rejects.toMatchObject({ code: 'INVALID_KEY' })
    expect(source.isRead).toBe(false)
  })

  test('of another blob is INVALID_KEY, and nothing is stored', async () => {
    await using dir = await temp()
    await using store = await openWith(dir.path, { layout: 'id' })
    await expect(store.put(ONE, { key: idKeyOf(TWO) })).rejects.toMatchObject({ code: 'INVALID_KEY' })
    expect(await collect(store.list())).toEqual([])
    expect((await store.status()).staging).toMatchObject({ bytes: 0 })
  })

  test('of the blob itself is its own', async () => {
    await using dir = await temp()
    await using store = await openWith(dir.path, { layout: 'key' })
    expect(await store.put(ONE, { key: idKeyOf(ONE) })).toMatchObject({ key: idKeyOf(ONE), isNew: true })
  })

  test('that was bound under another prefix takes its own bytes, and no others', async () => {
    await using dir = await temp()
    {
      await using store = await openWith(dir.path, { layout: 'key', prefix: 'other' })
      await store.put(ONE, { key: 'blobs/sha256/mine' })
    }
    await using store = await openWith(dir.path, { layout: 'key' })
    await store.put(ONE, { key: 'blobs/sha256/mine', metadata: { again: 'yes' } })
    await expect(store.put(TWO, { key: 'blobs/sha256/mine' })).rejects.toMatchObject({ code: 'INVALID_KEY' })
    expect(await store.get('blobs/sha256/mine')).toEqual(ONE)
  })
})

describe('after a change of layout', () => {
  test('from id to key, and of the prefix, a key cannot take the object of all keys of another blob', async () => {
    await using dir = await temp()
    {
      await using store = await openWith(dir.path, { layout: 'id' })
      await store.put(ONE, { key: 'k' })
      await store.synced()
    }
    await using store = await openWith(dir.path, { layout: 'key', prefix: 'other' })
    await expect(store.put(TWO, { key: idKeyOf(ONE) })).rejects.toMatchObject({ code: 'KEY_CONFLICT' })
    await store.synced()
    expect(await store.get('k', { backend: 'disk' })).toEqual(ONE)
  })

  test('from key to id a blob cannot take the object of a key that has its name', async () => {
    await using dir = await temp()
    {
      await using store = await openWith(dir.path, { layout: 'key', prefix: 'other' })
      await store.put(ONE, { key: idKeyOf(TWO) })
      await store.synced()
    }
    await using store = await openWith(dir.path, { layout: 'id' })
    await expect(store.put(TWO, { key: 'k' })).rejects.toMatchObject({ code: 'KEY_CONFLICT' })
    await store.synced()
    expect(await store.get(idKeyOf(TWO), { backend: 'disk' })).toEqual(ONE)
  })

  test('from key to id the object that a key had for itself stays for those that share it', async () => {
    await using dir = await temp()
    {
      await using store = await openWith(dir.path, { layout: 'key' })
      await store.put(ONE)
      await store.synced()
    }
    await using store = await openWith(dir.path, { layout: 'id' })
    await store.put(ONE, { key: 'k' })
    await store.delete(idKeyOf(ONE))
    await store.synced()
    expect(await store.get('k', { backend: 'disk' })).toEqual(ONE)
  })
})
