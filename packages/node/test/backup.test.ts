import { randomBytes } from 'node:crypto'
import { chmod, chown, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { MemoryBackend, MemoryPlace } from '@stored/core/backend'
import { ExclusiveIndex } from '@stored/lmdb'
import { backupStore, compactStore, openStore, restoreStore } from '@stored/node'
import { expect, test } from 'vitest'
import { collect, idOf, temp } from './temp.ts'

const LARGE = Buffer.concat([Buffer.from('a large blob '), randomBytes(100_000)])

/** A store whose backend `b` is paused: one blob is whole on `a`, the others are owed to `b` alone. */
async function owing(directory: string) {
  const places = { a: new MemoryPlace(), b: new MemoryPlace() }
  const open = (at: string, sync = true) =>
    openStore({
      ...{ path: path.join(directory, at), sync },
      backends: {
        a: { backend: new MemoryBackend({ place: places.a }) },
        b: { backend: new MemoryBackend({ place: places.b }) },
      },
    })
  {
    await using store = await open('store')
    await store.pause('b')
    await store.put(Buffer.concat([LARGE, Buffer.from('twice')]), { key: 'on a' })
    await store.put(LARGE, { key: 'owed alone', backends: ['b'] })
    await store.put(Buffer.from('small'), { key: 'small', backends: ['b'] })
    await store.synced('on a', { backends: ['a'] })
  }
  const at = (name: string) => path.join(directory, name)
  return { at, open, places }
}

test('a backup with staged bytes becomes a store that knows all, owes all, and brings it to its backends', async () => {
  await using dir = await temp()
  const { at, open } = await owing(dir.path)
  const { files, size } = await backupStore({ path: at('store'), to: at('backup'), staged: true })
  expect(files).toBe(2)
  expect(size).toBeGreaterThan(200_000)
  await rm(at('store'), { recursive: true })
  expect(await restoreStore({ path: at('store'), from: at('backup') })).toEqual({ files: 2, lacking: 0, missing: [] })
  await using store = await open('store')
  expect((await collect(store.list())).map(({ key }) => key)).toEqual(['on a', 'owed alone', 'small'])
  await store.resume('b')
  await store.synced()
  expect((await store.get('owed alone', { backend: 'b' })).equals(LARGE)).toBe(true)
  expect((await store.get('small', { backend: 'b' })).toString()).toBe('small')
})

test('without them, what is nowhere else is reported as missing, and what a backend has is copied from there', async () => {
  await using dir = await temp()
  const { at, open } = await owing(dir.path)
  expect(await backupStore({ path: at('store'), to: at('index.backup') })).toMatchObject({ files: 0 })
  const restored = await restoreStore({ path: at('other'), from: at('index.backup') })
  expect(restored).toEqual({ files: 0, lacking: 2, missing: [idOf(LARGE)] })
  await using store = await open('other')
  expect((await store.getBackend('b')).bad).toEqual({ missing: 1 })
  await store.resume('b')
  await store.synced('on a')
  await store.synced('small')
  await expect(store.get('owed alone')).rejects.toMatchObject({ code: 'NOT_FOUND' })
  await store.put(LARGE, { key: 'owed alone', backends: ['b'] })
  await store.synced()
  expect((await store.get('owed alone')).equals(LARGE)).toBe(true)
  expect((await store.getBackend('b')).bad).toEqual({})
})

test('a store that was restored is another one: the staged files of the first are not debris to it', async () => {
  await using dir = await temp()
  const { at, open } = await owing(dir.path)
  await backupStore({ path: at('store'), to: at('early') })
  {
    await using store = await open('store', false)
    await store.put(Buffer.concat([LARGE, Buffer.from('later')]), { key: 'acknowledged later', backends: ['b'] })
  }
  await rm(at('store/index.mdb'))
  const before = await readdir(at('store/staging'))
  await expect(restoreStore({ path: at('store'), from: at('early') })).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
  expect(await readdir(at('store/staging'))).toEqual(before)
})

test.each(['backup', 'restore'] as const)('%s never writes over what is there', async (call) => {
  await using dir = await temp()
  const { at } = await owing(dir.path)
  await backupStore({ path: at('store'), to: at('early') })
  const again =
    call === 'backup'
      ? backupStore({ path: at('store'), to: at('early') })
      : restoreStore({ path: at('store'), from: at('early') })
  await expect(again).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
})

test('compactStore() shrinks the index and keeps all, and refuses while the store is open', async () => {
  await using dir = await temp()
  const { at, open } = await owing(dir.path)
  {
    await using store = await open('store', false)
    const keys = Array.from({ length: 60 }, (_, i) => `k/${i}`)
    await Promise.all(keys.map((key) => store.put(randomBytes(60_000), { key, backends: ['b'] })))
    await Promise.all(keys.map((key) => store.delete(key)))
    await expect(compactStore({ path: at('store') })).rejects.toMatchObject({ code: 'CONFLICT' })
  }
  // So much room it needs: not that of the pages that are free.
  const index = await ExclusiveIndex.open({ path: at('store') })
  const { size } = index
  await index.close()
  const { before, after } = await compactStore({ path: at('store') })
  expect(after).toBeLessThan(before / 2)
  expect((await stat(at('store/index.mdb'))).size).toBe(after)
  expect(Math.abs(size - Number(after))).toBeLessThan(64 * 1024)
  await using store = await open('store', false)
  expect((await collect(store.list())).map(({ key }) => key)).toEqual(['on a', 'owed alone', 'small'])
  expect((await store.get('owed alone')).equals(LARGE)).toBe(true)
})

test('a restore into a store refuses before it touches the staged files of that store', async () => {
  await using dir = await temp()
  const { at } = await owing(dir.path)
  await backupStore({ path: at('store'), to: at('backup'), staged: true })
  const [file] = (await readdir(at('backup/staging'))).filter((name) => !name.startsWith('.')) as [string]
  await writeFile(path.join(at('backup/staging'), file), 'cut off')
  const before = await readFile(path.join(at('store/staging'), file))
  await expect(restoreStore({ path: at('store'), from: at('backup') })).rejects.toMatchObject({
    code: 'ALREADY_EXISTS',
  })
  expect((await readFile(path.join(at('store/staging'), file))).equals(before)).toBe(true)
})

test('a restore that was killed before its index is there: opening says what to do and makes no index, and it goes on', async () => {
  await using dir = await temp()
  const { at, open } = await owing(dir.path)
  await backupStore({ path: at('store'), to: at('backup'), staged: true })
  await rm(at('store'), { recursive: true })
  await restoreStore({ path: at('store'), from: at('backup') })
  // As it is at the last moment before the new index gets its name.
  await rm(at('store/index.mdb'))
  await writeFile(at('store/restoring'), '')
  const refused = { code: 'CORRUPT', message: expect.stringContaining('stored restore') }
  await expect(open('store')).rejects.toMatchObject(refused)
  expect(await readdir(at('store'))).not.toContain('index.mdb')
  expect(await restoreStore({ path: at('store'), from: at('backup') })).toEqual({ files: 2, lacking: 0, missing: [] })
  expect(await readdir(at('store'))).not.toContain('restoring')
  await using store = await open('store', false)
  expect((await store.get('owed alone')).equals(LARGE)).toBe(true)
})

test('a store of which nobody can tell whether a restore was cut off is not opened, and no index is made', async () => {
  await using dir = await temp()
  await mkdir(path.join(dir.path, 'store'))
  await symlink('restoring', path.join(dir.path, 'store', 'restoring'))
  const opening = openStore({ path: path.join(dir.path, 'store'), backends: { a: { backend: new MemoryBackend() } } })
  await expect(opening).rejects.toMatchObject({ code: 'INTERNAL', message: expect.stringContaining('restoring') })
  expect(await readdir(path.join(dir.path, 'store'))).not.toContain('index.mdb')
})

test('a restore that was killed when its index was there is one that ended', async () => {
  await using dir = await temp()
  const { at, open } = await owing(dir.path)
  await writeFile(at('store/restoring'), '')
  await using store = await open('store', false)
  expect((await store.get('owed alone')).equals(LARGE)).toBe(true)
  expect(await readdir(at('store'))).not.toContain('restoring')
})

test.each(['an index that is none', 'an ended signal'])('a restore that fails leaves nothing: %s', async (what) => {
  await using dir = await temp()
  const { at, open } = await owing(dir.path)
  await backupStore({ path: at('store'), to: at('backup'), staged: true })
  const isAborted = what === 'an ended signal'
  if (!isAborted) await writeFile(at('backup/index.mdb'), 'no index '.repeat(1000))
  const restored = restoreStore({
    ...{ path: at('new'), from: at('backup') },
    ...(isAborted && { signal: AbortSignal.abort() }),
  })
  await expect(restored).rejects.toMatchObject({ code: isAborted ? 'ABORTED' : 'CORRUPT' })
  expect(await readdir(at('new/staging'))).toEqual([])
  await using store = await open('new', false)
  expect(await collect(store.list())).toEqual([])
})

test('a backup that nobody may write to can be restored', async () => {
  await using dir = await temp()
  const { at, open } = await owing(dir.path)
  await backupStore({ path: at('store'), to: at('backup') })
  await chmod(at('backup'), 0o400)
  await restoreStore({ path: at('other'), from: at('backup') })
  expect((await stat(at('other/index.mdb'))).mode & 0o777).toBe(0o600)
  await using store = await open('other', false)
  expect((await store.get('small')).toString()).toBe('small')
})

test.each([false, true])('a backup holds small blobs: only its owner may read it; staged: %s', async (staged) => {
  await using dir = await temp()
  const { at } = await owing(dir.path)
  await backupStore({ path: at('store'), to: at('backup'), staged })
  expect((await stat(at('backup'))).mode & 0o077).toBe(0)
  expect((await stat(staged ? at('backup/index.mdb') : at('backup'))).mode & 0o777).toBe(0o600)
})

test('a backup leaves a file of a similar name alone', async () => {
  await using dir = await temp()
  const { at } = await owing(dir.path)
  await mkdir(at('backup.part'))
  await writeFile(at('backup.part/mine'), 'mine')
  await backupStore({ path: at('store'), to: at('backup') })
  expect(await readFile(at('backup.part/mine'), 'utf8')).toBe('mine')
})

test('who could use the index can use the one in its place', async () => {
  await using dir = await temp()
  const { at } = await owing(dir.path)
  await chmod(at('store/index.mdb'), 0o660)
  await compactStore({ path: at('store') })
  expect((await stat(at('store/index.mdb'))).mode & 0o777).toBe(0o660)
})

test.skipIf(process.getuid?.() !== 0)('root compacts the store of another user, who still owns it', async () => {
  await using dir = await temp()
  const { at } = await owing(dir.path)
  await chown(at('store/index.mdb'), 65_534, 65_533)
  await compactStore({ path: at('store') })
  expect(await stat(at('store/index.mdb'))).toMatchObject({ uid: 65_534, gid: 65_533 })
})
