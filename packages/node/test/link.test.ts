import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { collect, filesBelow, idOf, openAt, temp } from './temp.ts'

const HELLO = Buffer.from('hello')
const ID = idOf(HELLO)

describe.each(['key', 'id'] as const)('link() to a blob on backends of layout %s', (layout) => {
  const open = (directory: string, sync = true) =>
    openAt(directory, {
      sync,
      backends: {
        a: { driver: 'fs', root: path.join(directory, 'a'), layout },
        b: { driver: 'fs', root: path.join(directory, 'b'), layout },
      },
    } as never)

  test.each([
    ['staged', false],
    ['synced', true],
  ])('that is %s binds the key, and brings its own copies', async (_, isSynced) => {
    await using dir = await temp()
    await using store = await open(dir.path)
    if (!isSynced) for (const name of ['a', 'b'] as const) await store.pause(name)
    await store.put(HELLO, { key: 'one' })
    if (isSynced) await store.synced()
    const linked = await store.link('two', ID)
    expect(linked).toMatchObject({ key: 'two', id: ID, isNew: false, size: 5 })
    expect(await store.get('two')).toEqual(HELLO)
    for (const name of ['a', 'b'] as const) await store.resume(name)
    await store.synced()
    const copies = await collect(store.copies('two'))
    expect(copies.map(({ backend, synced }) => [backend, synced])).toEqual([
      ['a', true],
      ['b', true],
    ])
    expect(Object.keys(await filesBelow(path.join(dir.path, 'a')))).toHaveLength(layout === 'key' ? 2 : 1)
    expect((await store.status()).staging).toMatchObject({ bytes: 0, count: 0 })
  })

  test('outlives the key that it was linked from, although that goes before its copies are made', async () => {
    await using dir = await temp()
    await using store = await open(dir.path)
    await store.put(HELLO, { key: 'one' })
    await store.synced()
    for (const name of ['a', 'b'] as const) await store.pause(name)
    await store.link('two', ID)
    await store.delete('one')
    for (const name of ['a', 'b'] as const) await store.resume(name)
    await store.synced()
    expect(await store.get('two', { backend: 'b' })).toEqual(HELLO)
    expect(await store.has('one')).toBe(false)
  })

  test('brings copies only to the backends that are named', async () => {
    await using dir = await temp()
    await using store = await open(dir.path)
    await store.put(HELLO, { key: 'one', backends: ['a'] })
    await store.synced()
    const { locations } = await store.link('two', ID, { backends: ['b'] })
    expect(locations.map(({ backend }) => backend)).toContain('b')
    await store.synced()
    expect(await store.get('two', { backend: 'b' })).toEqual(HELLO)
  })
})

describe('link()', () => {
  test('takes the place of a binding, whose blob goes with its last key', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path)
    await store.put(HELLO, { key: 'one' })
    await store.put(Buffer.from('former'), { key: 'two' })
    await store.link('two', ID)
    await store.synced()
    expect(await store.get('two', { backend: 'a' })).toEqual(HELLO)
    expect(await store.has(idOf('former'))).toBe(false)
    expect(await collect(store.events())).toMatchObject(
      expect.arrayContaining([expect.objectContaining({ type: 'put', key: 'two', checksum: ID, isNew: false })]),
    )
  })

  test.each<[string, string, object, string]>([
    ['two', idOf('unknown'), {}, 'NOT_FOUND'],
    ['two', 'one', {}, 'INVALID_ARGUMENT'],
    ['', ID, {}, 'INVALID_KEY'],
    [ID, ID, {}, 'INVALID_KEY'],
    ['one', ID, { ifAbsent: true }, 'ALREADY_EXISTS'],
    ['two', ID, { ifMatch: ID }, 'PRECONDITION_FAILED'],
    ['two', ID, { ifMatch: ID, ifAbsent: true }, 'INVALID_ARGUMENT'],
    ['two', ID, { backends: [] }, 'INVALID_ARGUMENT'],
    ['two', ID, { key: 'three' }, 'INVALID_ARGUMENT'],
  ])('of %j to %j with %j rejects, and changes nothing', async (key, id, options, code) => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { sync: false })
    await store.put(HELLO, { key: 'one' })
    const before = await collect(store.events())
    await expect(store.link(key, id as never, options)).rejects.toMatchObject({ code })
    expect(await collect(store.events())).toEqual(before)
    expect((await collect(store.list())).map((entry) => entry.key)).toEqual(['one'])
  })
})
