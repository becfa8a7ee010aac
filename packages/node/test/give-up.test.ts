import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { collect, filesBelow, openAt, type TempDirectory, temp } from './temp.ts'

const BYTES = Buffer.from('precious')
/** More than a file system takes for one name. */
const REFUSED = 'x'.repeat(300)

let dir: TempDirectory
let store: Awaited<ReturnType<typeof openAt>>

beforeEach(async () => {
  dir = await temp()
  store = await openAt(dir.path)
})

afterEach(async () => {
  await store.close()
  await dir[Symbol.asyncDispose]()
})

const fileOf = (key: string, backend = 'a') => path.join(dir.path, backend, key)
const jobs = async () =>
  (await collect(store.jobs())).map(({ op, backend, key, state }) => ({ op, backend, key, state }))

describe('a copy that never was', () => {
  test('is given up with its key, although the medium refuses the key', async () => {
    await store.put(BYTES, { key: REFUSED })
    await expect(store.synced()).rejects.toMatchObject({ code: 'INVALID_KEY' })
    expect(await store.delete(REFUSED)).toEqual({ deleted: [REFUSED], pending: [] })
    await store.synced()
    expect(await jobs()).toEqual([])
    expect((await store.status()).staging.bytes).toBe(0)
  })

  test('is given up when its key is bound to another blob', async () => {
    await store.put(BYTES, { key: REFUSED, backends: ['a'] })
    await expect(store.synced()).rejects.toMatchObject({ code: 'INVALID_KEY' })
    await store.put(Buffer.from('other'), { key: REFUSED, backends: ['b'] })
    expect((await store.stat(REFUSED))?.locations).toMatchObject([{ backend: 'b' }])
    expect((await jobs()).filter(({ backend }) => backend === 'a')).toEqual([])
  })

  test('is given up alone, where the blob has another', async () => {
    await store.put(BYTES, { key: 'k', backends: ['a'] })
    await store.synced()
    await store.pause('b')
    await store.put(BYTES, { key: 'k', backends: ['b'] })
    expect(await store.delete('k', { backends: ['b'] })).toEqual({ deleted: [], pending: [] })
    expect(await jobs()).toEqual([])
    expect((await store.stat('k'))?.locations).toMatchObject([{ backend: 'a', state: 'synced' }])
  })

  test('is not what was written and lies on a backend that is paused: that is cleaned later', async () => {
    await store.put(BYTES, { key: 'k' })
    await store.synced()
    await store.pause('a')
    expect((await store.delete('k')).pending.toSorted()).toEqual(['a', 'b'])
    await store.resume('a')
    await store.synced()
    expect(await filesBelow(path.join(dir.path, 'a'))).toEqual({})
  })

  test('leaves alone what a stranger has at its place', async () => {
    await store.put(BYTES, { key: 'first' })
    await store.synced()
    await writeFile(fileOf('k'), 'of a stranger')
    await store.put(Buffer.from('ours'), { key: 'k', backends: ['a'] })
    await expect(store.synced()).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
    await store.delete('k')
    await store.synced()
    expect(await readFile(fileOf('k'), 'utf8')).toBe('of a stranger')
  })
})
