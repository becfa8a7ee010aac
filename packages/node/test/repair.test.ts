import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { StorageError } from '@stored/core/backend'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { collect, openAt, type TempDirectory, temp } from './temp.ts'

const BYTES = Buffer.from('precious')

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
const namesIn = async (backend = 'a') =>
  (await readdir(path.join(dir.path, backend))).filter((name) => name !== '.stored')
const stateOf = async (key: string, backend = 'a') =>
  (await store.stat(key))?.locations.find((location) => location.backend === backend)?.state

async function putAndHarm(harm: (file: string) => Promise<unknown>, key = 'k', found = true): Promise<void> {
  await store.put(BYTES, { key })
  await store.synced()
  await harm(fileOf(key))
  if (found) await collect(store.verify({ backend: 'a' }))
}

const edit = (file: string) => writeFile(file, 'what somebody made of it')

describe('repair()', () => {
  test('of a copy that somebody changed replaces it, and keeps aside what it was made', async () => {
    await putAndHarm(edit)
    const { copies } = await store.repair('k')
    expect(copies).toEqual([
      {
        backend: 'a',
        key: 'k',
        was: 'unknown',
        outcome: 'owed',
        kept: expect.stringMatching(/^k\.stored-kept-\d{8}T\d{6}Z$/),
      },
    ])
    await store.synced('k')
    expect(await readFile(fileOf('k'))).toEqual(BYTES)
    expect(await readFile(fileOf(copies[0]?.kept as string), 'utf8')).toBe('what somebody made of it')
    expect(await stateOf('k')).toBe('synced')
  })

  test('keeps the second change beside the first', async () => {
    await putAndHarm(edit)
    const first = await store.repair('k')
    await store.synced('k')
    await writeFile(fileOf('k'), 'changed once more')
    await collect(store.verify({ backend: 'a' }))
    const second = await store.repair('k')
    await store.synced('k')
    const [one, two] = [first.copies[0]?.kept as string, second.copies[0]?.kept as string]
    expect(await readFile(fileOf(one), 'utf8')).toBe('what somebody made of it')
    expect(await readFile(fileOf(two), 'utf8')).toBe('changed once more')
  })

  test('of a key that fills its name keeps the change under a shorter one', async () => {
    const key = `folder/${'é'.repeat(127)}`
    await putAndHarm(edit, key)
    const { copies } = await store.repair(key)
    expect(copies).toMatchObject([{ outcome: 'owed', kept: expect.stringMatching(/^folder\/é+\.stored-kept-/) }])
    expect(await readFile(fileOf(copies[0]?.kept as string), 'utf8')).toBe('what somebody made of it')
  })

  test('of a copy that is gone brings it again, and keeps nothing', async () => {
    await putAndHarm((file) => rm(file))
    expect((await store.repair('k')).copies).toEqual([{ backend: 'a', key: 'k', was: 'missing', outcome: 'owed' }])
    await store.synced('k')
    expect(await namesIn()).toEqual(['k'])
  })

  test('of a copy that is whole again marks it synced, and writes nothing', async () => {
    await putAndHarm((file) => rm(file))
    await writeFile(fileOf('k'), BYTES)
    expect((await store.repair('k')).copies).toEqual([{ backend: 'a', key: 'k', was: 'missing', outcome: 'whole' }])
    expect(await collect(store.jobs())).toEqual([])
    expect(await stateOf('k')).toBe('synced')
  })

  test('of a blob without a good copy rejects with what they failed with, and changes nothing', async () => {
    await putAndHarm(edit)
    await writeFile(fileOf('k', 'b'), 'also changed')
    await collect(store.verify({ backend: 'b' }))
    await expect(store.repair('k')).rejects.toSatisfy(StorageError.is)
    expect([await namesIn('a'), await namesIn('b')]).toEqual([['k'], ['k']])
    expect([await stateOf('k', 'a'), await stateOf('k', 'b')]).toEqual(['unknown', 'unknown'])
    expect(await collect(store.jobs())).toEqual([])
  })

  test('leaves alone what is put in the place of a missing copy meanwhile', async () => {
    await putAndHarm((file) => rm(file))
    await store.pause('a')
    await store.repair('k')
    await writeFile(fileOf('k'), 'of a stranger')
    await store.resume('a')
    await expect(store.synced('k')).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
    expect(await readFile(fileOf('k'), 'utf8')).toBe('of a stranger')
  })

  test('leaves alone what somebody changes after it was kept', async () => {
    await putAndHarm(edit)
    await store.pause('a')
    await store.repair('k')
    await writeFile(fileOf('k'), 'changed once more, and longer')
    await store.resume('a')
    await expect(store.synced('k')).rejects.toMatchObject({ code: 'PRECONDITION_FAILED' })
    expect(await readFile(fileOf('k'), 'utf8')).toBe('changed once more, and longer')
  })

  test('of a blob without a bad copy does nothing, of a name that is unknown rejects NOT_FOUND', async () => {
    await store.put(BYTES, { key: 'k' })
    await store.synced()
    expect((await store.repair('k')).copies).toEqual([])
    await expect(store.repair('none')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(store.repair('k', { backend: 'a' } as never)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })

  test('of one key leaves the objects of another key of the blob', async () => {
    await store.put(BYTES, { key: 'l' })
    await putAndHarm(edit)
    await edit(fileOf('l'))
    await collect(store.verify({ backend: 'a' }))
    await store.repair('k')
    await store.synced('k')
    expect([await stateOf('k'), await stateOf('l')]).toEqual(['synced', 'unknown'])
  })

  test.each<[string, () => Promise<unknown>, string | undefined]>([
    ['deletes the key', () => store.delete('k'), undefined],
    ['puts it again', () => store.put(BYTES, { key: 'k', backends: ['a'] }), 'pending'],
    ['binds it to another blob', () => store.put(Buffer.from('other'), { key: 'k' }), 'pending'],
  ])('while somebody %s leaves that as it is', async (_, act, state) => {
    await putAndHarm((file) => rm(file))
    await store.pause('a')
    let acted: Promise<unknown> | undefined
    const onProgress = () => {
      acted ??= act()
    }
    const { copies } = await store.repair('k', { onProgress })
    await acted
    expect(copies).toMatchObject([{ backend: 'a', was: 'missing' }])
    expect(await stateOf('k')).toBe(state)
    const jobs = await collect(store.jobs({ backend: 'a', key: 'k' }))
    expect(jobs.length).toBeLessThanOrEqual(1)
  })

  test('tells how far the good copy is read', async () => {
    await putAndHarm(edit)
    const seen: unknown[] = []
    await store.repair('k', { onProgress: (progress) => seen.push(progress) })
    expect(seen.at(-1)).toEqual({ bytes: BYTES.length, total: BYTES.length })
  })
})

describe('forget()', () => {
  test('ends the removal of a copy that somebody changed, and leaves what lies there', async () => {
    await putAndHarm(edit)
    await store.delete('k')
    await expect(store.synced()).rejects.toMatchObject({ code: 'PRECONDITION_FAILED', at: { backend: 'a' } })
    expect(await store.forget({ backend: 'a', key: 'k' })).toMatchObject({ backend: 'a', key: 'k', was: 'deleting' })
    await store.synced()
    expect(await readFile(fileOf('k'), 'utf8')).toBe('what somebody made of it')
    expect(await collect(store.jobs())).toEqual([])
  })

  test('of a copy leaves its file, and the other copies', async () => {
    await putAndHarm(async () => {}, 'k', false)
    expect(await store.forget({ backend: 'a', key: 'k' })).toMatchObject({ was: 'synced' })
    expect((await store.stat('k'))?.locations).toMatchObject([{ backend: 'b', state: 'synced' }])
    await store.delete('k')
    await store.synced()
    expect([await namesIn('a'), await namesIn('b')]).toEqual([['k'], []])
  })

  test('of the last copy, staged or synced, is refused', async () => {
    await store.put(BYTES, { key: 'k', backends: ['a'] })
    await store.synced()
    await expect(store.forget({ backend: 'a', key: 'k' })).rejects.toMatchObject({ code: 'PRECONDITION_FAILED' })
    await store.pause('b')
    await store.put(Buffer.from('staged'), { key: 'l', backends: ['b'] })
    await expect(store.forget({ backend: 'b', key: 'l' })).rejects.toMatchObject({ code: 'PRECONDITION_FAILED' })
  })

  test('of a copy on a backend that is gone for good gives it up', async () => {
    await putAndHarm(async () => {}, 'k', false)
    await store.removeBackend('a', { force: true })
    await store.forget({ backend: 'a', key: 'k' })
    expect((await store.stat('k'))?.locations).toMatchObject([{ backend: 'b' }])
  })

  test('of a copy that is owed gives its job up, where another is synced', async () => {
    await store.put(BYTES, { key: 'k', backends: ['a'] })
    await store.synced()
    await store.pause('b')
    await store.put(BYTES, { key: 'k', backends: ['b'] })
    await store.forget({ backend: 'b', key: 'k' })
    expect(await collect(store.jobs())).toEqual([])
    expect((await store.status()).staging.bytes).toBe(0)
  })

  test.each([
    [{ backend: 'a', key: 'none' }, 'NOT_FOUND'],
    [{ backend: 'a' }, 'INVALID_KEY'],
    [{ key: 'k' }, 'INVALID_ARGUMENT'],
    ['k', 'INVALID_ARGUMENT'],
  ])('of %j rejects with %s', async (place, code) => {
    await expect(store.forget(place as never)).rejects.toMatchObject({ code })
  })
})
