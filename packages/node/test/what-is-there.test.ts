import { rm } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { collect, openAt, temp } from './temp.ts'

const HELLO = Buffer.from('hello')

/** A source that has `action` done while it is read. */
async function* reading(action: () => Promise<unknown>) {
  yield HELLO.subarray(0, 2)
  await action()
  yield HELLO.subarray(2)
}

describe('put() during which a backend is removed', () => {
  test('goes to those that remain, if it names none', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path)
    const { locations } = await store.put(
      reading(() => store.removeBackend('a')),
      { key: 'k' },
    )
    expect(locations).toMatchObject([{ backend: 'b' }])
    await store.synced('k')
  })

  test('goes to the default backends that remain, then and later', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { defaultBackends: ['a', 'b'] })
    const first = await store.put(
      reading(() => store.removeBackend('a')),
      { key: 'k' },
    )
    const second = await store.put(HELLO, { key: 'l' })
    for (const { locations } of [first, second]) expect(locations).toMatchObject([{ backend: 'b' }])
  })

  test('rejects if that was the last, or the last of the defaults, or one that it names; and stores nothing', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { defaultBackends: ['a'] })
    const named = store.put(
      reading(() => store.removeBackend('b')),
      { key: 'k', backends: ['a', 'b'] },
    )
    await expect(named).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', message: expect.stringMatching(/"b"/) })
    const last = store.put(
      reading(() => store.removeBackend('a')),
      { key: 'k' },
    )
    await expect(last).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', message: expect.stringMatching(/backend/) })
    expect(await store.stat('k')).toBeNull()
    expect((await store.status()).staging).toMatchObject({ bytes: 0 })
  })
})

describe('synced(key)', () => {
  /** `k` is on `a` and `b`; its files are gone from these, and verify() has found so. */
  async function openWithout(directory: string, names: readonly string[]) {
    const store = await openAt(directory)
    await store.put(HELLO, { key: 'k' })
    await store.synced()
    for (const name of names) await rm(path.join(directory, name, 'k'))
    await collect(store.verify())
    return store
  }

  test('rejects when every copy was found missing, naming one', async () => {
    await using dir = await temp()
    await using store = await openWithout(dir.path, ['a', 'b'])
    await expect(store.synced('k')).rejects.toMatchObject({ code: 'NOT_FOUND', at: { backend: 'a', key: 'k' } })
  })

  test('rejects when one copy was, unless another is enough', async () => {
    await using dir = await temp()
    await using store = await openWithout(dir.path, ['b'])
    await expect(store.synced('k')).rejects.toMatchObject({ at: { backend: 'b' } })
    await store.synced('k', { copies: 1 })
    await store.synced('k', { backends: ['a'] })
    await store.put(HELLO, { key: 'k' })
    await store.synced('k')
  })

  test('rejects where no copy counts: none shall be on the backends that are named, or theirs are all removed', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path)
    await store.put(HELLO, { key: 'k', backends: ['a'] })
    await store.synced('k')
    await expect(store.synced('k', { backends: ['b'] })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    await store.removeBackend('a', { force: true })
    await expect(store.synced('k')).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringMatching(/: a$/),
    })
  })

  test('list() and has() leave out what was found missing everywhere; stat() and list({ missing }) know of it', async () => {
    await using dir = await temp()
    await using store = await openWithout(dir.path, ['a', 'b'])
    const { id } = (await store.stat('k')) ?? {}
    expect(await collect(store.list())).toEqual([])
    expect([await store.has('k'), await store.has(String(id))]).toEqual([false, false])
    expect(await collect(store.list({ missing: true }))).toMatchObject([{ key: 'k' }])
    if (!(await store.has('k'))) await store.put(HELLO, { key: 'k' })
    expect(await store.has('k')).toBe(true)
    expect(await collect(store.list())).toMatchObject([{ key: 'k' }])
  })

  test('list() and has() show what is missing under this key, and there under another: it can be read', async () => {
    await using dir = await temp()
    await using store = await openWithout(dir.path, ['a', 'b'])
    await store.put(HELLO, { key: 'other', backends: ['a'] })
    await store.synced('other')
    expect(await store.get('k')).toEqual(HELLO)
    expect(await store.has('k')).toBe(true)
    expect((await collect(store.list())).map(({ key }) => key)).toEqual(['k', 'other'])
  })
})
