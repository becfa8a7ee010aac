import { chmod, mkdir, truncate, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { Readable } from 'node:stream'
import type { StoreD } from '@stored/core'
import { openStore } from '@stored/node'
import { describe, expect, test } from 'vitest'
import { collect, filesBelow, openAt, temp } from './temp.ts'

const HELLO = Buffer.from('hello')

describe('openStore() refuses before anything is touched', () => {
  const base = { path: 'store', backends: {} }
  test.each([
    ['an unknown option', { ...base, backend: {} }, /unknown option "backend"; did you mean "backends"\?/],
    ['a path of the wrong type', { ...base, path: 7 }, /path must be a string, not number/],
    [
      'a wrong checksum',
      { ...base, checksums: ['sha265'] },
      /checksums\[0\] must be "sha256".* not this string; did you mean "sha256"\?/,
    ],
    ['an unknown driver', { ...base, backends: { x: { driver: 'fss' } } }, /no driver "fss".*did you mean "fs"\?/],
    [
      'a driver that is not installed',
      { ...base, backends: { x: { driver: 'azure' } } },
      /npm install @stored\/driver-azure/,
    ],
    ['a package that is no driver', { ...base, backends: { x: { driver: 'lmdb-none/none' } } }, /no driver/],
    [
      'an unknown option of a driver',
      { ...base, backends: { x: { driver: 'fs', rot: '/x' } } },
      /unknown option "rot"; did you mean "root"\?/,
    ],
    ['a backend that is none', { ...base, backends: { x: 'fs' } }, /backends\.x must be an object, not string/],
    [
      'a default that is no backend',
      { ...base, backends: {}, defaultBackends: ['a'] },
      /defaultBackends\[0\] must be the name of a backend, not this string/,
    ],
    ['a name that is none', { ...base, backends: { 'a b': { driver: 'fs', root: 'x' } } }, /is not a backend name/],
  ])('%s', async (_, config, message) => {
    await using dir = await temp()
    const opening = openStore({
      ...config,
      ...(config.path === 'store' && { path: path.join(dir.path, 'store') }),
    } as never)
    await expect(opening).rejects.toThrow(message)
  })

  test('a store that is open in this process', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path)
    await expect(openAt(dir.path)).rejects.toMatchObject({ code: 'CONFLICT' })
    await store.put(HELLO)
  })

  test.skipIf(process.getuid?.() === 0)('a directory that is not writable', async () => {
    await using dir = await temp()
    await mkdir(path.join(dir.path, 'store'))
    await chmod(path.join(dir.path, 'store'), 0o500)
    await expect(openAt(dir.path)).rejects.toMatchObject({ code: 'PERMISSION_DENIED' })
  })

  test('a file where the directory should be', async () => {
    await using dir = await temp()
    await writeFile(path.join(dir.path, 'store'), '')
    await expect(openAt(dir.path)).rejects.toMatchObject({ name: 'StorageError' })
  })
})

describe('put() refuses, and stores nothing', () => {
  test.each([
    ['a missing file', 'missing', {}, 'NOT_FOUND'],
    ['a directory', '.', {}, 'INVALID_ARGUMENT'],
    ['strings in a stream', () => Readable.from(['text']), {}, 'INVALID_ARGUMENT'],
    ['a number', 7, {}, 'INVALID_ARGUMENT'],
    ['an unknown backend', HELLO, { backends: ['c'] }, 'INVALID_ARGUMENT'],
    ['one backend instead of a list', HELLO, { backends: 'a' }, 'INVALID_ARGUMENT'],
    ['no backend', HELLO, { backends: [] }, 'INVALID_ARGUMENT'],
    ['an unknown option', HELLO, { kye: 'k' }, 'INVALID_ARGUMENT'],
    ['ifAbsent with ifMatch', HELLO, { ifAbsent: true, ifMatch: `sha256:${'0'.repeat(64)}` }, 'INVALID_ARGUMENT'],
    ['an id that is none', HELLO, { ifMatch: 'sha256:12' }, 'INVALID_ARGUMENT'],
    ['metadata that JSON cannot hold', HELLO, { metadata: { n: 1n } }, 'INVALID_ARGUMENT'],
    ['metadata that is an array', HELLO, { metadata: [] }, 'INVALID_ARGUMENT'],
    ['an empty key', HELLO, { key: '' }, 'INVALID_KEY'],
    ['a key that climbs', HELLO, { key: 'a/../b' }, 'INVALID_KEY'],
    ['an absolute key', HELLO, { key: '/a' }, 'INVALID_KEY'],
    ['a key with a newline', HELLO, { key: 'a\nb' }, 'INVALID_KEY'],
    ['a key with half a surrogate pair', HELLO, { key: 'a\ud800' }, 'INVALID_KEY'],
    ['a reserved key', HELLO, { key: '.stored/x' }, 'INVALID_KEY'],
    ['a key of 1,025 bytes', HELLO, { key: 'k'.repeat(1025) }, 'INVALID_KEY'],
    ['a key of the form of an id', HELLO, { key: `sha256:${'0'.repeat(64)}` }, 'INVALID_KEY'],
  ])('%s', async (_, source, options, code) => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { sync: false })
    const given =
      typeof source === 'function' ? source() : typeof source === 'string' ? path.join(dir.path, source) : source
    await expect(store.put(given as never, options as never)).rejects.toMatchObject({ name: 'StorageError', code })
    expect(await collect(store.list())).toEqual([])
    expect(await filesBelow(path.join(dir.path, 'store/staging'))).toEqual({})
  })

  test('a stream that fails half-way, with its error as the cause', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { sync: false })
    const broken = new Error('the disk is gone')
    const source = async function* () {
      yield Buffer.alloc(100_000)
      throw broken
    }
    await expect(store.put(source())).rejects.toMatchObject({ cause: broken })
    expect(await filesBelow(path.join(dir.path, 'store/staging'))).toEqual({})
  })

  test('a stream that was destroyed without an error', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { sync: false })
    const source = new Readable({ read() {} })
    source.push(HELLO)
    const putting = store.put(source, { onProgress: () => source.destroy() })
    await expect(putting).rejects.toMatchObject({ name: 'StorageError' })
    expect(await collect(store.list())).toEqual([])
  })

  test('a file that changes while it is read', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { sync: false })
    const file = path.join(dir.path, 'growing')
    await writeFile(file, Buffer.alloc(5_000_000))
    let shrunk: Promise<void> | undefined
    const onProgress = () => {
      shrunk ??= truncate(file, 4_000_000)
    }
    await expect(store.put(file, { onProgress })).rejects.toMatchObject({ code: 'SOURCE_CHANGED' })
    await shrunk
    expect(await collect(store.list())).toEqual([])
  })
})

test('put() on a disk below the reserve rejects with NO_SPACE; get, sync and delete go on', async () => {
  await using dir = await temp()
  {
    await using store = await openAt(dir.path, { sync: false })
    await store.put(HELLO, { key: 'k' })
  }
  await using store = await openAt(dir.path, { reserve: 2 ** 50 })
  await expect(store.put(HELLO)).rejects.toMatchObject({ code: 'NO_SPACE' })
  expect(await store.get('k')).toEqual(HELLO)
  await store.synced()
  await store.delete('k')
  await store.synced()
  expect(await filesBelow(path.join(dir.path, 'a'))).toEqual({})
})

describe('a call with what no type allows rejects INVALID_ARGUMENT, and says what is meant', () => {
  const calls: Record<string, (store: Loose) => unknown> = {
    'pause() of nothing': (store) => store.pause(),
    'resume() of a number': (store) => store.resume(1),
    'getBackend() of null': (store) => store.getBackend(null),
    'removeBackend() with null': (store) => store.removeBackend('a', null),
    'retry() with null': (store) => store.retry(null),
    'jobs() with a list': (store) => collect(store.jobs([])),
    'put() with null': (store) => store.put(Buffer.from('x'), null),
    'get() with null': (store) => store.get('k', null),
    'delete() with null': (store) => store.delete('k', null),
    'list() with null': (store) => collect(store.list(null)),
    'synced() with null': (store) => store.synced(undefined, null),
    'events() with null': (store) => collect(store.events(null)),
    'verify() with null': (store) => collect(store.verify(null)),
  }
  test.for(Object.entries(calls))('%s', async ([, call]) => {
    await using dir = await temp()
    await using store = await openAt(dir.path)
    const calling = (async () => call(store as unknown as Loose))()
    await expect(calling).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })
})

/** A store as JavaScript sees it. */
type Loose = Record<keyof StoreD, (...args: unknown[]) => never>
