import { rm } from 'node:fs/promises'
import path from 'node:path'
import { expect, test } from 'vitest'
import { collect, idOf, openAt, temp } from './temp.ts'

const SAME = Buffer.from('same')

/** How the copies that a record shows stand. */
const statesOf = (record: { locations: readonly { backend: string; key: string; state: string }[] } | null) =>
  record?.locations.map(({ backend, key, state }) => `${backend}/${key} ${state}`)

/** `one` is on `a` and `b`; `two`, the same bytes, is on `a`, and owed to `b`, which is paused. */
async function openWithTwo(directory: string) {
  const store = await openAt(directory)
  await store.put(SAME, { key: 'one' })
  await store.synced()
  await store.pause('b')
  const put = await store.put(SAME, { key: 'two' })
  await store.synced('two', { backends: ['a'] })
  return { store, put, [Symbol.asyncDispose]: () => store[Symbol.asyncDispose]() }
}

test('put() and stat() of a key show its own copies, not those of another key; stat() of the id shows all', async () => {
  await using dir = await temp()
  await using opened = await openWithTwo(dir.path)
  const { store, put } = opened
  expect(statesOf(put)).toEqual(['a/two pending', 'b/two pending'])
  expect(statesOf(await store.stat('two'))).toEqual(['a/two synced', 'b/two pending'])
  expect(statesOf(await store.stat('one'))).toEqual(['a/one synced', 'b/one synced'])
  expect(statesOf(await store.stat(idOf(SAME)))).toHaveLength(4)
})

test('list() shows the copies of each key, and with `backend` the keys that have one there', async () => {
  await using dir = await temp()
  await using opened = await openWithTwo(dir.path)
  const { store } = opened
  await store.put(SAME, { key: 'three', backends: ['a'] })
  const rows = await collect(store.list({ backend: 'b' }))
  expect(rows.map((row) => [row.key, statesOf(row)])).toEqual([
    ['one', ['a/one synced', 'b/one synced']],
    ['two', ['a/two synced', 'b/two pending']],
  ])
})

test('synced() of a key waits for its own copies, whatever another key has; get({ backend }) reads them alone', async () => {
  await using dir = await temp()
  await using opened = await openWithTwo(dir.path)
  const { store } = opened
  await store.synced('one')
  await expect(store.synced('two', { signal: AbortSignal.timeout(20) })).rejects.toMatchObject({ code: 'ABORTED' })
  await expect(store.get('two', { backend: 'b' })).rejects.toMatchObject({ code: 'NOT_FOUND' })
  expect(await store.get('one', { backend: 'b' })).toEqual(SAME)
  expect(await store.get(idOf(SAME), { backend: 'b' })).toEqual(SAME)
  await store.resume('b')
  await store.synced('two')
  expect(await store.get('two', { backend: 'b' })).toEqual(SAME)
})

test('get() of an id finds the copies on each backend, however many keys have theirs on another', async () => {
  await using dir = await temp()
  {
    await using store = await openAt(dir.path)
    for (let i = 0; i < 20; i++) await store.put(SAME, { key: `k${i}` })
    await store.synced()
    expect(await store.get(idOf(SAME), { backend: 'b' })).toEqual(SAME)
    expect(await store.get(idOf(SAME), { backends: ['b', 'a'] })).toEqual(SAME)
  }
  // Its copies on `a` are detached from now on.
  await using store = await openAt(dir.path, { backends: { b: { driver: 'fs', root: path.join(dir.path, 'b') } } })
  expect(await store.get(idOf(SAME))).toEqual(SAME)
})

test('a copy of one key that is gone is told of that key, though another key has its own', async () => {
  await using dir = await temp()
  await using store = await openAt(dir.path)
  await store.put(SAME, { key: 'one' })
  await store.put(SAME, { key: 'two' })
  await store.synced()
  await rm(path.join(dir.path, 'b/two'))
  await collect(store.verify())
  expect(statesOf(await store.stat('two'))).toEqual(['a/two synced', 'b/two missing'])
  expect(statesOf(await store.stat('one'))).toEqual(['a/one synced', 'b/one synced'])
})

test('what all keys share is a copy of each of them', async () => {
  await using dir = await temp()
  const id = { driver: 'fs', root: path.join(dir.path, 'id'), layout: 'id' } as const
  await using store = await openAt(dir.path, { backends: { id } })
  await store.put(SAME, { key: 'one' })
  await store.put(SAME, { key: 'two' })
  await store.synced('two')
  for (const key of ['one', 'two'])
    expect(await store.stat(key)).toMatchObject({ locations: [{ backend: 'id', state: 'synced', shared: true }] })
})
