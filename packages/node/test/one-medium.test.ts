import { cp, mkdir, readdir, rm, symlink } from 'node:fs/promises'
import path from 'node:path'
import type { StoreEvent } from '@stored/core'
import { MemoryBackend, MemoryPlace } from '@stored/core/backend'
import { FsBackend } from '@stored/driver-fs'
import { type BackendConfig, openStore } from '@stored/node'
import { describe, expect, test } from 'vitest'
import { filesBelow, temp } from './temp.ts'

const HELLO = Buffer.from('hello')

/** A folder reached by a way that its address does not show, as by a bind mount. */
class Unaddressed extends FsBackend {
  override get address() {
    return undefined as never
  }
}

function naming(...names: string[]) {
  const message = expect.stringMatching(names.map((name) => `(?=.*"${name}")`).join(''))
  return expect.objectContaining({ name: 'StorageError', code: 'MISCONFIGURED', message })
}

const S3 = { driver: 's3', endpoint: 'http://127.0.0.1:1', bucket: 'photos', accessKeyId: 'x', secretAccessKey: 'y' }
const SFTP = {
  driver: 'sftp',
  host: '127.0.0.1',
  port: 1,
  username: 'me',
  password: 'x',
  hostFingerprint: `SHA256:${'A'.repeat(43)}`,
}

const TWICE: [string, (dir: string) => [BackendConfig, BackendConfig]][] = [
  ['one root', (dir) => [fs(dir, 'a'), fs(dir, 'a')]],
  ['one root, written otherwise', (dir) => [fs(dir, 'a'), fs(dir, 'b/../a/')]],
  ['a root and a link to it', (dir) => [fs(dir, 'a'), fs(dir, 'link')]],
  ['a root inside another', (dir) => [fs(dir, 'a'), fs(dir, 'a/inner')]],
  ['a root around another', (dir) => [fs(dir, 'a/inner'), fs(dir, 'a')]],
  ['a root inside another, by a link', (dir) => [fs(dir, 'a'), fs(dir, 'link/inner')]],
  ['one memory', () => twins()],
  ['one bucket', () => [S3, { ...S3, accessKeyId: 'z' }]],
  ['a prefix in a bucket', () => [S3, { ...S3, prefix: 'p/' }]],
  [
    'one directory of a host',
    () => [
      { ...SFTP, root: '/d' },
      { ...SFTP, root: '/d/', username: 'you' },
    ],
  ],
  [
    'a directory of a host inside another',
    () => [
      { ...SFTP, root: '/d' },
      { ...SFTP, root: '/d/e' },
    ],
  ],
]

function fs(dir: string, root: string) {
  return { driver: 'fs', root: path.join(dir, root) }
}

function twins(): [MemoryBackend, MemoryBackend] {
  const place = new MemoryPlace()
  return [new MemoryBackend({ place }), new MemoryBackend({ place })]
}

describe('one medium under two names is refused, naming both', () => {
  test.each(TWICE)('by openStore(), which touches nothing: %s', async (_, configs) => {
    await using dir = await temp()
    await symlink('a', path.join(dir.path, 'link'))
    const [one, two] = configs(dir.path)
    const opening = openStore({ path: path.join(dir.path, 'store'), backends: { one, two } })
    await expect(opening).rejects.toEqual(naming('one', 'two'))
    expect(await readdir(dir.path)).toEqual(['link'])
  })

  test.each([
    ['a root', 'a'],
    ['a link to it', 'link'],
    ['a root inside it', 'a/x'],
    ['the root around it', '.'],
  ])('by addBackend(): %s', async (_, root) => {
    await using dir = await temp()
    await symlink('a', path.join(dir.path, 'link'))
    const backends = { one: fs(dir.path, 'a') }
    await using store = await openStore({ path: path.join(dir.path, 'store'), backends })
    const add = () => store.addBackend('two', { backend: new FsBackend({ root: path.join(dir.path, root) }) })
    expect(add).toThrow(naming('one', 'two'))
    expect((await store.listBackends()).map(({ name }) => name)).toEqual(['one'])
  })

  test('after removeBackend() the other one may have it', async () => {
    await using dir = await temp()
    const backends = { one: fs(dir.path, 'a'), other: fs(dir.path, 'b') }
    await using store = await openStore({ path: path.join(dir.path, 'store'), backends })
    await store.removeBackend('one')
    store.addBackend('two', { backend: new FsBackend({ root: path.join(dir.path, 'a') }) })
    expect((await store.listBackends()).map(({ name }) => name)).toEqual(['other', 'two'])
  })

  const apart: typeof TWICE = [
    ['roots side by side', (dir: string) => [fs(dir, 'a'), fs(dir, 'ab')]],
    [
      'two prefixes of a bucket',
      () => [
        { ...S3, prefix: 'p/' },
        { ...S3, prefix: 'q/' },
      ],
    ],
    [
      'one path on two hosts',
      () => [
        { ...SFTP, root: '/d' },
        { ...SFTP, root: '/d', port: 2 },
      ],
    ],
  ]
  test.each(apart)('%s are two mediums', async (_, configs) => {
    await using dir = await temp()
    const [one, two] = configs(dir.path)
    await using store = await openStore({ path: path.join(dir.path, 'store'), backends: { one, two }, sync: false })
    expect(await store.listBackends()).toHaveLength(2)
  })
})

describe('one medium that only its mark shows', () => {
  test('one of the two is refused when it is opened, naming both; its jobs wait, and the file counts once', async () => {
    await using dir = await temp()
    const root = path.join(dir.path, 'a')
    const backends = { one: new Unaddressed({ root }), two: new Unaddressed({ root }) }
    await using store = await openStore({ path: path.join(dir.path, 'store'), backends })
    const refused = Promise.withResolvers<StoreEvent>()
    store.on('sync:retry', refused.resolve)
    await store.put(HELLO, { key: 'k' })
    await store.synced('k', { copies: 1 })
    const event = await refused.promise
    expect(event).toMatchObject({
      error: { code: 'MISCONFIGURED', message: expect.stringMatching(/"one".*"two"|"two".*"one"/) },
    })
    const states = (await store.stat('k'))?.locations.map(({ state }) => state).sort()
    expect(states).toEqual(['pending', 'synced'])
    const [done] = (await store.stat('k'))?.locations.filter(({ synced }) => synced) ?? []
    await expect(store.delete('k', { backends: [done?.backend as 'one'] })).resolves.toMatchObject({ deleted: [] })
    expect((await store.get('k')).toString()).toBe('hello')
  })

  test('the later name is refused when the store remembers both from before', async () => {
    await using dir = await temp()
    const root = path.join(dir.path, 'a')
    const at = path.join(dir.path, 'store')
    for (const name of ['one', 'two']) {
      await using store = await openStore({ path: at, backends: { [name]: new Unaddressed({ root }) } })
      await store.put(HELLO, { key: name })
      await store.synced(name)
    }
    const backends = { one: new Unaddressed({ root }), two: new Unaddressed({ root }) }
    await using store = await openStore({ path: at, backends, sync: false })
    expect(await store.get('one', { backend: 'one' })).toEqual(HELLO)
    await expect(store.get('two', { backend: 'two' })).rejects.toEqual(naming('one', 'two'))
  })

  test('a root that was copied with its mark is refused, and taken once the mark is removed', async () => {
    await using dir = await temp()
    const at = path.join(dir.path, 'store')
    const backends = { one: fs(dir.path, 'a'), two: fs(dir.path, 'b') }
    {
      await using store = await openStore({ path: at, backends: { one: backends.one } })
      await store.put(HELLO, { key: 'k' })
      await store.synced('k')
    }
    await cp(path.join(dir.path, 'a'), path.join(dir.path, 'b'), { recursive: true })
    {
      await using store = await openStore({ path: at, backends })
      const refused = Promise.withResolvers<StoreEvent>()
      store.on('sync:retry', refused.resolve)
      await store.put(Buffer.from('new'), { key: 'new' })
      expect(await refused.promise).toMatchObject({ error: { message: expect.stringContaining('.stored/root') } })
    }
    await rm(path.join(dir.path, 'b/.stored/root'))
    await using store = await openStore({ path: at, backends })
    await store.synced('new')
    expect(await filesBelow(path.join(dir.path, 'b'))).toEqual({ k: 'hello', new: 'new' })
  })
})

describe('the directory of the store', () => {
  test.each([
    ['is a root', 'store', 'store'],
    ['holds a root', 'store', 'store/data'],
    ['holds a root, by a link', 'store', 'link/data'],
    ['lies among the blobs of a root', 'a/store', 'a'],
    ['lies among the blobs of a root, under a name much like .stored', 'a/.stored-x', 'a'],
    ['lies below the .stored of a root', 'a/.stored/store', 'a'],
    ['lies where a root keeps what is under way', 'a/.stored/tmp', 'a'],
  ])('that %s is refused, before anything is touched', async (_, at, root) => {
    await using dir = await temp()
    await symlink('store', path.join(dir.path, 'link'))
    const opening = openStore({ path: path.join(dir.path, at), backends: { one: fs(dir.path, root) } })
    await expect(opening).rejects.toEqual(naming('one'))
    expect(await readdir(dir.path)).toEqual(['link'])
  })

  test.each([
    ['is a root', 'store', 'store'],
    ['holds a root', 'store', 'store/data'],
    ['holds a root, by a link', 'store', 'link/data'],
    ['lies among the blobs of a root', 'a/store', 'a'],
    ['lies below the .stored of a root', 'a/.stored/store', 'a'],
  ])('that %s is refused by addBackend()', async (_, at, root) => {
    await using dir = await temp()
    await symlink('store', path.join(dir.path, 'link'))
    await using store = await openStore({ path: path.join(dir.path, at), backends: { zero: new MemoryBackend() } })
    const add = () => store.addBackend('one', { backend: new FsBackend({ root: path.join(dir.path, root) }) })
    expect(add).toThrow(naming('one'))
    expect((await store.listBackends()).map(({ name }) => name)).toEqual(['zero'])
  })

  test('may be the .stored of a root, where no key leads', async () => {
    await using dir = await temp()
    await mkdir(path.join(dir.path, 'a'))
    const backends = { one: fs(dir.path, 'a') }
    await using store = await openStore({ path: path.join(dir.path, 'a/.stored'), backends })
    await store.put(HELLO, { key: 'k' })
    await store.synced('k')
    expect(await filesBelow(path.join(dir.path, 'a'))).toEqual({ k: 'hello' })
    await store.removeBackend('one', { force: true })
    store.addBackend('again', { backend: new FsBackend({ root: path.join(dir.path, 'a') }) })
  })
})

describe('the directory of the read cache', () => {
  test.each([
    ['is a root', 'cache', 'cache'],
    ['holds a root', 'cache', 'cache/data'],
    ['lies among the blobs of a root', 'a/cache', 'a'],
    ['is the .stored of a root', 'a/.stored', 'a'],
  ])('that %s is refused, by openStore() and by addBackend()', async (_, at, root) => {
    await using dir = await temp()
    const config = { path: path.join(dir.path, 'store'), cache: { location: path.join(dir.path, at) } }
    await expect(openStore({ ...config, backends: { one: fs(dir.path, root) } })).rejects.toEqual(naming('one'))
    expect(await readdir(dir.path)).toEqual([])
    await using store = await openStore({ ...config, backends: { zero: new MemoryBackend() } })
    const add = () => store.addBackend('one', { backend: new FsBackend({ root: path.join(dir.path, root) }) })
    expect(add).toThrow(naming('one'))
  })
})
