import { readFile, rename, rm, utimes, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { LocationState, VerifyResult } from '@stored/core'
import {
  type GetOptions,
  type GetResult,
  MemoryBackend,
  MemoryPlace,
  type Op,
  type Stat,
  StorageError,
  type StorageErrorCode,
} from '@stored/core/backend'
import { FsBackend } from '@stored/driver-fs'
import { openStore } from '@stored/node'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { collect, idOf, openAt, type TempDirectory, temp } from './temp.ts'

/** A busy machine may take its time; what never happens fails all the same. */
const PATIENCE = { timeout: 60_000 }

/** A backend in memory, of which each answer can be replaced. */
class Scripted extends MemoryBackend {
  override readonly place: MemoryPlace
  onGet: ((key: string, answer: GetResult) => GetResult | Promise<GetResult>) | null = null
  onStat: ((key: string, answer: Stat | null) => Stat | null) | null = null
  /** Keys that were asked for. */
  readonly asked: string[] = []

  constructor(place = new MemoryPlace()) {
    super({ place })
    this.place = place
  }

  override async get(key: string, options: GetOptions): Promise<GetResult> {
    this.asked.push(key)
    const answer = await super.get(key, options)
    return this.onGet ? this.onGet(key, answer) : answer
  }

  override async stat(key: string, options: Op): Promise<Stat | null> {
    const answer = await super.stat(key, options)
    return this.onStat ? this.onStat(key, answer) : answer
  }

  /** Changes bytes behind everybody's back. */
  rot(key: string, etag?: string): void {
    const { stat } = this.place.blobs.get(key) ?? { stat: { key, size: 3 } }
    this.place.blobs.set(key, { stat: { ...stat, ...(etag && { etag }) }, bytes: Buffer.from('rot') })
  }

  /** Brings the bytes of {@link rot} back, under a new etag. */
  heal(key: string, bytes: string): void {
    const stat = { key, size: bytes.length, etag: this.place.nextEtag() }
    this.place.blobs.set(key, { stat, bytes: Buffer.from(bytes) })
  }
}

/** Not retried by the guard, so that no test waits. */
const failure = (code: StorageErrorCode) => new StorageError(code, { op: 'get' }, { retryable: false })

const brief = ({ backend, key, ...rest }: VerifyResult) =>
  `${backend} ${key} ${'state' in rest ? rest.state : 'skipped'}${rest.checked ? '' : ` unchecked ${rest.error?.code}`}`

describe('verify()', () => {
  let dir: TempDirectory
  let a: Scripted
  let b: Scripted
  let store: Awaited<ReturnType<typeof open>>

  const open = (sync: boolean) => openStore({ path: path.join(dir.path, 'store'), backends: { b, a }, sync })
  /** The same store, in which nothing is synced. */
  const reopen = async () => {
    await store.close()
    a = new Scripted(a.place)
    b = new Scripted(b.place)
    store = await open(false)
  }
  const stateOf = async (key: string, backend = 'a'): Promise<LocationState | 'detached' | undefined> =>
    (await store.stat(key))?.locations.find((location) => location.backend === backend)?.state

  beforeEach(async () => {
    dir = await temp()
    a = new Scripted()
    b = new Scripted()
    store = await open(true)
    return async () => {
      await store.close()
      await dir[Symbol.asyncDispose]()
    }
  })

  afterEach(() => void vi.useRealTimers())

  /** Puts `one`, `two` … of which each key's blob is its own name. */
  async function putAll(...keys: string[]): Promise<void> {
    for (const key of keys) await store.put(Buffer.from(key), { key })
    await store.synced()
  }

  test('reads every copy, in the order of the backends and of keys, and says that it is whole', async () => {
    await putAll('two', 'one')
    const results = await collect(store.verify())
    expect(results.map(brief)).toEqual(['b one synced', 'b two synced', 'a one synced', 'a two synced'])
    expect(results[0]).toEqual({
      backend: 'b',
      key: 'one',
      checksum: idOf('one'),
      checksums: { sha256: idOf('one').slice(7) },
      size: 3,
      state: 'synced',
      checked: true,
      cursor: expect.any(String),
    })
    expect([a.asked, b.asked]).toEqual([
      ['one', 'two'],
      ['one', 'two'],
    ])
  })

  test('of a whole copy notes when that was', async () => {
    await putAll('one')
    vi.useFakeTimers({ toFake: ['Date'], now: 2_000_000_000_000 })
    await collect(store.verify({ backend: 'a' }))
    const [inB, inA] = (await store.stat('one'))?.locations.toSorted((x, y) => (x.backend > y.backend ? -1 : 1)) ?? []
    expect(inA).toMatchObject({ backend: 'a', verified: 2_000_000_000_000 })
    expect(inB?.verified).toBeLessThan(2_000_000_000_000)
  })

  const certain: [string, () => void, StorageErrorCode, LocationState][] = [
    ['wrong bytes under the same etag', () => a.rot('one'), 'CHECKSUM_MISMATCH', 'corrupt'],
    ['wrong bytes under another etag', () => a.rot('one', 'edited'), 'CHECKSUM_MISMATCH', 'unknown'],
    ['no blob', () => void a.place.blobs.delete('one'), 'NOT_FOUND', 'missing'],
  ]
  test.each(certain)('that finds %s marks the copy', async (_, damage, code, state) => {
    await putAll('one')
    damage()
    const [result] = await collect(store.verify({ backend: 'a' }))
    expect(result).toMatchObject({ checked: true, state, error: { code } })
    expect((await store.stat('one'))?.locations).toContainEqual(expect.objectContaining({ backend: 'a', state }))
    expect(await stateOf('one', 'b')).toBe('synced')
  })

  test.each(certain)('get() that finds %s marks the copy likewise', async (_, damage, code, state) => {
    await putAll('one')
    damage()
    await expect(store.get('one', { backend: 'a' })).rejects.toMatchObject({ code })
    expect(await stateOf('one')).toBe(state)
  })

  const refuse = (code: StorageErrorCode) => () => {
    throw failure(code)
  }
  const answering = (onGet: Scripted['onGet'], onStat: Scripted['onStat'] = null) => {
    a.onGet = onGet
    a.onStat = onStat
  }
  const codes = [
    'TIMEOUT',
    'PERMISSION_DENIED',
    'UNAUTHENTICATED',
    'UNAVAILABLE',
    'RATE_LIMITED',
    'MISCONFIGURED',
  ] as const
  const uncertain: [string, () => void, StorageErrorCode][] = [
    ...codes.map((code): [string, () => void, StorageErrorCode] => [code, () => answering(refuse(code)), code]),
    ['an error its driver does not know', () => answering(() => Promise.reject(new Error('?'))), 'INTERNAL'],
    [
      'UNAVAILABLE after the first bytes',
      () => answering((_, { stat }) => ({ stat, body: failingAfter('o') })),
      'UNAVAILABLE',
    ],
    [
      'NOT_FOUND, and no answer to whether it is there',
      () => answering(refuse('NOT_FOUND'), refuse('UNAVAILABLE')),
      'NOT_FOUND',
    ],
    ['NOT_FOUND of a blob that is there', () => answering(refuse('NOT_FOUND')), 'NOT_FOUND'],
    [
      'wrong bytes, and no answer to what lies there',
      () => {
        a.rot('one')
        answering(null, refuse('TIMEOUT'))
      },
      'CHECKSUM_MISMATCH',
    ],
  ]
  test.each(uncertain)('that meets %s can tell nothing and marks nothing', async (_, disturb, code) => {
    await putAll('one')
    const before = await store.stat('one')
    disturb()
    const [result] = await collect(store.verify({ backend: 'a' }))
    expect(result).toMatchObject({ checked: false, state: 'synced', error: { code } })
    expect(await store.stat('one')).toEqual(before)
  })

  test.each(uncertain)('get() that meets %s marks nothing either', async (_, disturb, code) => {
    await putAll('one')
    const before = await store.stat('one')
    disturb()
    await expect(store.get('one', { backend: 'a' })).rejects.toMatchObject({ code })
    expect(await store.stat('one')).toEqual(before)
  })

  test.each(certain)(
    'of a copy with %s that is whole again makes it synced, by the etag it has now',
    async (_, damage) => {
      await putAll('one')
      damage()
      await collect(store.verify({ backend: 'a' }))
      a.heal('one', 'one')
      expect((await collect(store.verify({ backend: 'a' }))).map(brief)).toEqual(['a one synced'])
      const location = (await store.stat('one'))?.locations.find(({ backend }) => backend === 'a')
      expect(location).toMatchObject({ state: 'synced', etag: a.place.blobs.get('one')?.stat.etag })
      expect(location).not.toHaveProperty('error')
      expect(await store.get('one', { backend: 'a' })).toEqual(Buffer.from('one'))
    },
  )

  test('finds again, and says again, what is still bad', async () => {
    await putAll('one')
    a.rot('one')
    for (let i = 0; i < 2; i++)
      expect((await collect(store.verify({ backend: 'a' }))).map(brief)).toEqual(['a one corrupt'])
    a.place.blobs.delete('one')
    expect((await collect(store.verify({ backend: 'a' }))).map(brief)).toEqual(['a one missing'])
  })

  test('leaves out what is owed, what was refused and what is being removed', async () => {
    await putAll('one', 'two', 'three')
    a.place.blobs.set('stranger', { stat: { key: 'stranger', size: 1, etag: 'x' }, bytes: Buffer.from('x') })
    await store.put(Buffer.from('ours'), { key: 'stranger', backends: ['a'] })
    await expect(store.synced()).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
    await reopen()
    await store.delete('two')
    await store.put(Buffer.from('owed'), { key: 'owed' })
    expect((await collect(store.verify({ backend: 'a' }))).map(brief)).toEqual(['a one synced', 'a three synced'])
  })

  test('by a process that does not sync marks all the same', async () => {
    await putAll('one')
    await reopen()
    a.rot('one')
    await collect(store.verify())
    expect(await stateOf('one')).toBe('corrupt')
  })

  test('reads a copy anew that was replaced while it was read', async () => {
    await putAll('k')
    a.onGet = async (_, answer) => {
      a.onGet = null
      await store.put(Buffer.from('new'), { key: 'k' })
      await store.synced()
      return answer
    }
    const results = await collect(store.verify({ backend: 'a' }))
    expect(results).toMatchObject([{ key: 'k', checksum: idOf('new'), state: 'synced', checked: true }])
    expect(await stateOf('k')).toBe('synced')
  })

  test('leaves a copy out that is removed while it is read', async () => {
    await putAll('k')
    a.onGet = async (_, answer) => {
      await store.delete('k')
      await store.synced()
      return answer
    }
    expect(await collect(store.verify({ backend: 'a' }))).toEqual([])
  })

  test('leaves the rest of a backend out after five copies in a row that could not be read, and goes on with the next', async () => {
    const keys = ['k1', 'k2', 'k3', 'k4', 'k5', 'k6', 'k7']
    await putAll(...keys)
    b.onGet = refuse('PERMISSION_DENIED')
    const results = await collect(store.verify())
    expect(results.map(brief)).toEqual([
      ...keys.slice(0, 5).map((key) => `b ${key} synced unchecked PERMISSION_DENIED`),
      'b null skipped unchecked PERMISSION_DENIED',
      ...keys.map((key) => `a ${key} synced`),
    ])
    expect(results[5]?.error?.message).toMatch(/5 copies in a row could not be read/)
    b.onGet = null
    const rest = await collect(store.verify({ after: results[5]?.cursor as string }))
    expect(rest.map(brief)).toEqual(['b k6 synced', 'b k7 synced', ...keys.map((key) => `a ${key} synced`)])
  })

  test('goes on with a backend of which four copies in a row could not be read', async () => {
    const keys = Array.from({ length: 10 }, (_, i) => `k${i}`)
    await putAll(...keys)
    a.onGet = (key, answer) => (key === 'k4' || key === 'k9' ? answer : refuse('TIMEOUT')())
    const results = await collect(store.verify({ backend: 'a' }))
    expect(results.map(({ key, checked }) => (checked ? `${key}` : ''))).toEqual([
      ...['', '', '', '', 'k4'],
      ...['', '', '', '', 'k9'],
    ])
  })

  test('with after goes on behind that result, wherever it was interrupted', async () => {
    await putAll('k1', 'k2', 'k3')
    const all = (await collect(store.verify())).map(brief)
    for (let taken = 1; taken <= all.length; taken++) {
      const seen: VerifyResult[] = []
      for await (const result of store.verify()) if (seen.push(result) === taken) break
      const rest = await collect(store.verify({ after: seen.at(-1)?.cursor as string }))
      expect([...seen, ...rest].map(brief)).toEqual(all)
    }
  })

  test('with a prefix reads copies whose key begins so', async () => {
    await putAll('photo', 'photos', 'photos!', 'photos/a', 'photos/b', 'photos0', 'x')
    const keysOf = async (prefix: string) =>
      (await collect(store.verify({ backend: 'a', prefix }))).map(({ key }) => key)
    expect(await keysOf('photos/')).toEqual(['photos/a', 'photos/b'])
    expect(await keysOf('photos')).toEqual(['photos', 'photos!', 'photos/a', 'photos/b', 'photos0'])
    expect(await keysOf('x')).toEqual(['x'])
    expect(await keysOf('y')).toEqual([])
  })

  test('with a sample reads another part every day, and every blob in so many days', async () => {
    const keys = Array.from({ length: 60 }, (_, i) => `k${String(i).padStart(2, '0')}`)
    await putAll(...keys)
    const seen: string[] = []
    for (let day = 0; day < 10; day++) {
      vi.useFakeTimers({ toFake: ['Date'], now: 1_800_000_000_000 + day * 86_400_000 })
      const results = await collect(store.verify({ backend: 'a', sample: 0.1 }))
      expect(results.length).toBeLessThan(keys.length)
      seen.push(...results.map(({ key }) => key as string))
    }
    expect(seen.sort()).toEqual(keys)
  })

  test('with a sample goes on with the same one after midnight', async () => {
    await putAll(...Array.from({ length: 30 }, (_, i) => `k${i}`))
    vi.useFakeTimers({ toFake: ['Date'], now: 1_800_000_000_000 })
    const all = (await collect(store.verify({ sample: 0.5 }))).map(brief)
    const seen: VerifyResult[] = []
    for await (const result of store.verify({ sample: 0.5 })) if (seen.push(result) === 3) break
    vi.setSystemTime(1_800_086_400_000)
    const rest = await collect(store.verify({ sample: 0.5, after: seen.at(-1)?.cursor as string }))
    expect([...seen, ...rest].map(brief)).toEqual(all)
  })

  test('aborted while it waits for its rate throws ABORTED', async () => {
    await putAll('slow', 'slower')
    const abort = new AbortController()
    const verifying = store.verify({ backend: 'a', maxBytesPerSecond: 1, signal: abort.signal })
    const step = verifying.next().catch((error) => error)
    await vi.waitUntil(() => a.asked.length === 1, PATIENCE)
    abort.abort()
    expect(await step).toMatchObject({ code: 'ABORTED', at: { op: 'verify' } })
    expect(a.asked).toEqual(['slow'])
  })

  test('throws CLOSED when the store closes', async () => {
    await putAll('slow')
    const step = store.verify({ maxBytesPerSecond: 1 }).next()
    const outcome = step.catch((error) => error)
    await vi.waitUntil(() => b.asked.length === 1, PATIENCE)
    await store.close()
    expect(await outcome).toMatchObject({ code: 'CLOSED' })
    expect(() => store.verify()).toThrow(expect.objectContaining({ code: 'CLOSED' }))
  })

  test.each([
    [{ backend: 'c' }, /unknown backend "c"/],
    [{ prefix: 1 }, /"prefix" must be well-formed text/],
    [{ sample: 0 }, /"sample" must be a number above 0/],
    [{ sample: 1.1 }, /"sample" must be a number above 0/],
    [{ maxBytesPerSecond: 0.5 }, /"maxBytesPerSecond" must be a whole number/],
    [{ after: 'x' }, /`after` is not a cursor/],
    [{ after: Buffer.from('["c","k",1]').toString('base64url') }, /a cursor of backend "c"/],
    [{ backend: 'a', after: Buffer.from('["b","k",1]').toString('base64url') }, /a cursor of backend "b"/],
    [{ repair: true }, /unknown option "repair"/],
  ])('with %j is refused at once with INVALID_ARGUMENT', (options, message) => {
    const refused = { code: 'INVALID_ARGUMENT', message: expect.stringMatching(message) }
    expect(() => store.verify(options as never)).toThrow(expect.objectContaining(refused))
  })
})

describe('verify() of a folder', () => {
  const KEYS = ['edited', 'gone', 'rotten', 'whole']

  async function filled(directory: string) {
    const store = await openAt(directory)
    for (const key of KEYS) await store.put(Buffer.from(`bytes of ${key}`), { key })
    await store.synced()
    return store
  }

  test('tells a file that was edited from one that rotted, and both from one that is gone', async () => {
    await using dir = await temp()
    await using store = await filled(dir.path)
    const file = (key: string) => path.join(dir.path, 'a', key)
    // With a time that can be set again to the nanosecond, and is noted by the first call.
    await utimes(file('rotten'), 1_700_000_000, 1_700_000_000)
    await collect(store.verify())
    const bytes = await readFile(file('rotten'))
    bytes[3] = (bytes[3] as number) ^ 1
    await writeFile(file('rotten'), bytes)
    await utimes(file('rotten'), 1_700_000_000, 1_700_000_000)
    await writeFile(file('edited'), 'other bytes')
    await rm(file('gone'))
    expect((await collect(store.verify())).map(brief)).toEqual([
      'a edited unknown',
      'a gone missing',
      'a rotten corrupt',
      'a whole synced',
      ...KEYS.map((key) => `b ${key} synced`),
    ])
  })

  test('whose root was taken away marks nothing, and finds everything once it is back', async () => {
    await using dir = await temp()
    await using store = await filled(dir.path)
    const root = path.join(dir.path, 'a')
    await rename(root, `${root}.away`)
    const away = await collect(store.verify({ backend: 'a' }))
    expect(away.map(brief)).toEqual(KEYS.map((key) => `a ${key} synced unchecked UNAVAILABLE`))
    await rename(`${root}.away`, root)
    expect((await collect(store.verify({ backend: 'a' }))).map(brief)).toEqual(KEYS.map((key) => `a ${key} synced`))
  })

  test('whose root was taken away while the store was closed marks nothing and is not made anew', async () => {
    await using dir = await temp()
    await (await filled(dir.path)).close()
    const root = path.join(dir.path, 'a')
    await rename(root, `${root}.away`)
    {
      await using store = await openAt(dir.path)
      await expect(store.get('whole', { backend: 'a' })).rejects.toMatchObject({ code: 'UNAVAILABLE' })
      const away = await collect(store.verify({ backend: 'a' }))
      expect(away.map(brief)).toEqual(KEYS.map((key) => `a ${key} synced unchecked UNAVAILABLE`))
    }
    await rename(`${root}.away`, root)
    await using store = await openAt(dir.path)
    expect((await collect(store.verify({ backend: 'a' }))).map(brief)).toEqual(KEYS.map((key) => `a ${key} synced`))
  })

  test('with another root in its place marks nothing, until it is removed and added again', async () => {
    await using dir = await temp()
    await (await filled(dir.path)).close()
    const root = path.join(dir.path, 'a')
    await rename(root, `${root}.former`)
    await new FsBackend({ root }).open({ log: () => {} })
    await using store = await openAt(dir.path)
    await expect(store.get('whole', { backend: 'a' })).rejects.toMatchObject({ code: 'MISCONFIGURED' })
    await store.removeBackend('a', { force: true })
    store.addBackend('a', { backend: new FsBackend({ root }) })
    const found = await collect(store.verify({ backend: 'a' as never }))
    expect(found.map(brief)).toEqual(KEYS.map((key) => `a ${key} missing`))
  })
})

async function* failingAfter(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text)
  throw failure('UNAVAILABLE')
}
