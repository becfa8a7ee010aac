import { text } from 'node:stream/consumers'
import { StorageError } from '@stored/core/backend'
import { describe, expect, test } from 'vitest'
import { openWorld } from './plans/world.ts'
import { idOf, openAt, temp } from './temp.ts'

const TEXT = 'hello, reader'
const LARGE = Buffer.alloc(300_000, 'large ')

describe('open()', () => {
  test.each(['staged', 'synced'])('of a blob that is %s gives its record and its bytes', async (state) => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { sync: state === 'synced' })
    const { id } = await store.put(Buffer.from(TEXT), { key: 'k.txt', metadata: { lang: 'en' } })
    if (state === 'synced') await store.synced()
    for (const name of ['k.txt', id]) {
      const { record, range, body } = await store.open(name)
      expect(record).toEqual(await store.stat(name))
      expect(range).toEqual({ offset: 0, length: TEXT.length })
      expect(await text(body)).toBe(TEXT)
    }
  })

  test.each([
    [{ offset: 7 }, { offset: 7, length: 6 }],
    [{ length: 5 }, { offset: 0, length: 5 }],
    [
      { offset: 7, length: 100 },
      { offset: 7, length: 6 },
    ],
    [({ size }: { size: number }) => ({ offset: size - 6 }), { offset: 7, length: 6 }],
    [() => undefined, { offset: 0, length: 13 }],
  ])('of the range %s says which bytes these are', async (range, expected) => {
    await using dir = await temp()
    await using store = await openAt(dir.path)
    await store.put(Buffer.from(TEXT), { key: 'k' })
    for (const _ of ['staged', 'synced']) {
      const opened = await store.open('k', { range })
      expect(opened.range).toEqual(expected)
      expect(await text(opened.body)).toBe(TEXT.slice(expected.offset, expected.offset + expected.length))
      await store.synced()
    }
  })

  test('rejects with exactly what the function that chooses a range throws', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { sync: false })
    await store.put(Buffer.from(TEXT), { key: 'k' })
    const unmodified = new Error('304')
    const opening = store.open('k', {
      range: () => {
        throw unmodified
      },
    })
    await expect(opening).rejects.toBe(unmodified)
  })

  test.each<[string, object, string]>([
    ['unknown', {}, 'NOT_FOUND'],
    ['k', { range: { offset: 13 } }, 'RANGE_NOT_SATISFIABLE'],
    ['k', { range: { offset: -1 } }, 'INVALID_ARGUMENT'],
    ['k', { range: { start: 1 } }, 'INVALID_ARGUMENT'],
    ['k', { range: () => 5 }, 'INVALID_ARGUMENT'],
    ['k', { range: 5 }, 'INVALID_ARGUMENT'],
    ['k', { stream: true }, 'INVALID_ARGUMENT'],
    ['k', { backend: 'none' }, 'INVALID_ARGUMENT'],
    ['', {}, 'INVALID_KEY'],
  ])('of %j with %j rejects', async (name, options, code) => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { sync: false })
    await store.put(Buffer.from(TEXT), { key: 'k' })
    await expect(store.open(name, options)).rejects.toMatchObject({ code })
  })

  test('delivers the bytes of its record, although the key is bound to others before they are read', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path)
    await store.put(LARGE, { key: 'k' })
    for (const _ of ['staged', 'synced']) {
      const { record, body } = await store.open('k')
      await store.put(Buffer.from(TEXT), { key: 'k' })
      expect(record.id).toBe(idOf(LARGE))
      expect(idOf(await text(body))).toBe(record.id)
      await store.put(LARGE, { key: 'k' })
      await store.synced()
    }
  })

  test('shows the record of the blob that it reads, where the key was bound to another between look and read', async () => {
    await using world = await openWorld()
    const { store, staging } = world
    await store.put(LARGE, { key: 'k' })
    const open = staging.open.bind(staging)
    staging.open = async (...args) => {
      staging.open = open
      await store.put(Buffer.from(TEXT), { key: 'k' })
      return open(...args)
    }
    const { record, range, body } = await store.open('k')
    expect(record.id).toBe(idOf(TEXT))
    expect(range.length).toBe(record.size)
    expect(await text(body)).toBe(TEXT)
  })

  test('of a copy with wrong bytes ends with CHECKSUM_MISMATCH, and frees what it holds when it is left', async () => {
    await using world = await openWorld()
    const { store, staging } = world
    await store.put(LARGE, { key: 'k' })
    const { body } = await store.open('k')
    body.destroy()
    const open = staging.open.bind(staging)
    staging.open = async (...args) => {
      const opened = await open(...args)
      if (!opened) throw new StorageError('NOT_FOUND', { op: 'get' })
      return { ...opened, body: [Buffer.alloc(LARGE.length, 'x')] as never }
    }
    const wrong = await store.open('k')
    await expect(text(wrong.body)).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH' })
  })
})
