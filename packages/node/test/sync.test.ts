import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { checksums } from '@stored/checksumd'
import { FaultyBackend } from '@stored/conformance'
import { type BackendOptions, StoreD, type StoreEvent } from '@stored/core'
import {
  MemoryBackend,
  MemoryPlace,
  type PutOptions,
  type Stat,
  StorageError,
  type StorageErrorCode,
} from '@stored/core/backend'
import { BlobIndex } from '@stored/index'
import { MemoryLedger } from '@stored/ledger'
import { openStore } from '@stored/node'
import { DurableStaging } from '@stored/staging'
import { JobQueue, SyncD } from '@stored/syncd'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { collect, filesBelow, idOf, openAt, type TempDirectory, temp } from './temp.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const MAX_PROBE_WAIT_MS = 5 * MINUTE

const bytesOf = (key: string) => Buffer.from(`bytes of ${key}`)
const names = (count: number) => Array.from({ length: count }, (_, i) => `k${i}`)
const refusal = (code: StorageErrorCode, options = {}) => new StorageError(code, { op: 'put' }, options)

/** Lets run whatever needs no timer. */
async function settle(): Promise<void> {
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve))
}

/** Lets time go by, in steps, so that what is due at one of them is done before the next. */
async function pass(ms: number, stepMs = Math.min(ms, SECOND)): Promise<void> {
  for (let passed = 0; passed < ms; passed += stepMs) {
    await vi.advanceTimersByTimeAsync(stepMs)
    await settle()
  }
}

/** Whether a promise is settled by now. */
function watch(promise: Promise<unknown>): { settled: boolean; error?: unknown } {
  const state: { settled: boolean; error?: unknown } = { settled: false }
  promise.then(
    () => Object.assign(state, { settled: true }),
    (error) => Object.assign(state, { settled: true, error }),
  )
  return state
}

/** A memory whose puts wait until they are let go, and may fail instead. */
class GatedBackend extends MemoryBackend {
  readonly begun: string[] = []
  readonly #gates = new Map<string, PromiseWithResolvers<void>>()

  override async put(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat> {
    const gate = Promise.withResolvers<void>()
    this.begun.push(key)
    this.#gates.set(key, gate)
    options.signal.addEventListener('abort', () => gate.reject(options.signal.reason))
    await gate.promise
    return super.put(key, body, options)
  }

  letGo(key: string): void {
    this.#gates.get(key)?.resolve()
  }
}

/** A memory that refuses some keys. */
class RefusingBackend extends MemoryBackend {
  readonly calls: Record<string, number> = {}
  readonly refused = new Map<string, StorageError>()

  override async put(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat> {
    this.calls[key] = (this.calls[key] ?? 0) + 1
    const error = this.refused.get(key)
    if (error) throw error
    return super.put(key, body, options)
  }
}

/** A memory that takes its time for each of ten steps, and tells of each. */
class SteppingBackend extends MemoryBackend {
  readonly #stepMs: number

  constructor(stepMs: number) {
    super()
    this.#stepMs = stepMs
  }

  override async put(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat> {
    for (let sent = 1; sent <= 10; sent++) {
      await new Promise((resolve) => setTimeout(resolve, this.#stepMs))
      options.signal.throwIfAborted()
      options.onSent?.(sent)
    }
    return super.put(key, body, options)
  }
}

type Store = StoreD<'a' | 'b'>

describe('with time at hand', () => {
  let dir: TempDirectory
  const stores: Store[] = []
  /** Has the bytes of these keys leave staging, as above its high-water mark. */
  let releaseStaged: (keys: readonly string[]) => Promise<void>

  beforeEach(async () => {
    dir = await temp()
    vi.useFakeTimers({
      toFake: ['Date', 'setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'],
      now: 1_732_844_100_000,
    })
  })

  afterEach(async () => {
    for (const store of stores.splice(0)) {
      const closing = store.close()
      await pass(20 * SECOND, 5 * SECOND)
      await closing
    }
    vi.useRealTimers()
    await dir[Symbol.asyncDispose]()
  })

  /** A store in memory. */
  async function open(a: BackendOptions, b: BackendOptions = { backend: new MemoryBackend() }): Promise<Store> {
    const ledger = new MemoryLedger()
    const index = new BlobIndex(ledger)
    const queue = new JobQueue(ledger)
    const staging = await DurableStaging.open({ ledger, path: path.join(dir.path, 'staging') })
    const syncer = await SyncD.open({ ledger, index, queue, staging })
    const services = { ledger, index, queue, staging, syncer, checksums, mimeTypeOf: () => 'text/plain' }
    const store = new StoreD<'a' | 'b'>({ ...services, backends: { a, b }, defaultBackends: ['a'] })
    stores.push(store)
    releaseStaged = async (keys) => {
      await ledger.transact((tx) => keys.forEach((key) => void staging.release(tx, idOf(bytesOf(key)))))
    }
    return store
  }

  async function putAll(store: Store, keys: readonly string[]): Promise<void> {
    for (const key of keys) await store.put(bytesOf(key), { key })
    await settle()
  }

  const stateOf = async (store: Store, name: 'a' | 'b' = 'a') => {
    const { state, error, retryAt, jobs } = await store.getBackend(name)
    return { state, code: error?.code, retryAt, jobs }
  }

  describe('pause() and resume()', () => {
    test('let jobs under way end, begin no other, and go on', async () => {
      const backend = new GatedBackend()
      const store = await open({ backend, concurrency: 2 })
      await putAll(store, names(8))
      expect(backend.begun).toEqual(['k0', 'k1'])
      await store.pause('a')
      await settle()
      for (const key of backend.begun) backend.letGo(key)
      await pass(HOUR, MINUTE)
      // Neither what waited nor what was claimed ahead.
      expect(backend.begun).toEqual(['k0', 'k1'])
      expect(await stateOf(store)).toMatchObject({ state: 'paused', jobs: { waiting: 6, running: 0 } })
      await store.resume('a')
      await settle()
      expect(backend.begun).toEqual(['k0', 'k1', 'k2', 'k3'])
      expect((await stateOf(store)).state).toBe('ok')
    })

    test('try at once what failed once, and would be tried again later', async () => {
      const backend = new FaultyBackend(new MemoryBackend())
      const store = await open({ backend })
      backend.fail(refusal('UNAVAILABLE'))
      await putAll(store, ['k'])
      backend.heal()
      expect(await stateOf(store)).toMatchObject({ state: 'ok', jobs: { waiting: 1 } })
      await store.resume('a')
      await settle()
      expect((await stateOf(store)).jobs).toMatchObject({ waiting: 0, running: 0, parked: 0 })
    })

    test('try at once all that failed, whatever it waits for, and whichever process asks', async () => {
      const backend = new RefusingBackend()
      // More than are claimed at once.
      const keys = names(60)
      for (const key of keys) backend.refused.set(key, refusal('CONFLICT'))
      const store = await open({ backend })
      await putAll(store, keys)
      await pass(10 * MINUTE)
      const tries = { ...backend.calls }
      backend.refused.clear()
      await store.resume('a')
      await settle()
      expect((await stateOf(store)).jobs).toMatchObject({ waiting: 0, running: 0, parked: 0 })
      for (const key of keys) expect(backend.calls[key]).toBe((tries[key] as number) + 1)
    })

    test('keep synced() waiting, and put() not', async () => {
      const store = await open({ backend: new MemoryBackend() })
      await store.pause('a')
      await putAll(store, ['k'])
      const waiting = watch(store.synced())
      await pass(HOUR, MINUTE)
      expect(waiting.settled).toBe(false)
      await store.resume('a')
      await settle()
      expect(waiting).toEqual({ settled: true })
    })

    test('of one backend leave the others alone', async () => {
      const store = await open({ backend: new MemoryBackend() })
      await store.pause('a')
      await store.put(bytesOf('k'), { key: 'k', backends: ['a', 'b'] })
      await store.synced(undefined, { backends: ['b'] })
      expect((await stateOf(store)).jobs).toMatchObject({ waiting: 1 })
      expect((await stateOf(store, 'b')).jobs).toMatchObject({ waiting: 0 })
    })

    test.each(['pause', 'resume'] as const)(
      '%s() of an unknown backend rejects with INVALID_ARGUMENT',
      async (call) => {
        const store = await open({ backend: new MemoryBackend() })
        await expect(store[call]('c' as never)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
      },
    )
  })

  describe('status()', () => {
    test('tells who syncs, and of each backend its state and what it is owed', async () => {
      const store = await open({ backend: new GatedBackend() })
      const since = Date.now()
      await putAll(store, ['k'])
      await pass(10 * SECOND)
      expect(await store.status()).toMatchObject({
        syncing: 'here',
        backends: [
          { name: 'a', state: 'ok', jobs: { waiting: 0, running: 1, parked: 0, bytes: 10, oldest: since } },
          { name: 'b', state: 'ok', jobs: { waiting: 0, running: 0, parked: 0, bytes: 0 } },
        ],
      })
    })

    test('tells of an outage: its error, and when the backend is tried again', async () => {
      const backend = new FaultyBackend(new MemoryBackend())
      const store = await open({ backend })
      backend.fail(refusal('UNAVAILABLE'))
      await putAll(store, names(10))
      const { state, code, retryAt } = await stateOf(store)
      expect([state, code]).toEqual(['failing', 'UNAVAILABLE'])
      expect(retryAt).toBeGreaterThan(Date.now())
      expect(retryAt).toBeLessThanOrEqual(Date.now() + SECOND)
    })
  })

  describe('jobs()', () => {
    test('are those of its filter', async () => {
      const backend = new RefusingBackend()
      backend.refused.set('k0', refusal('TOO_LARGE'))
      const store = await open({ backend })
      await store.pause('b')
      await putAll(store, ['k0', 'k1'])
      await store.put(bytesOf('k1'), { key: 'k1', backends: ['b'] })
      const found = async (filter: object) =>
        (await collect(store.jobs(filter))).map(({ backend, key, state }) => `${backend} ${key} ${state}`).sort()
      expect(await found({})).toEqual(['a k0 parked', 'b k1 waiting'])
      expect(await found({ backend: 'a' })).toEqual(['a k0 parked'])
      expect(await found({ key: 'k1' })).toEqual(['b k1 waiting'])
      expect(await found({ id: idOf(bytesOf('k0')) })).toEqual(['a k0 parked'])
      expect(await found({ state: 'waiting' })).toEqual(['b k1 waiting'])
      expect(await found({ state: 'running' })).toEqual([])
    })

    test.each([{ backend: 'c' }, { states: 'parked' }, { state: 'failed' }, { id: 'sha256:x' }, { key: '' }])(
      'of %j throw INVALID_ARGUMENT or INVALID_KEY',
      async (filter) => {
        const store = await open({ backend: new MemoryBackend() })
        expect(() => store.jobs(filter as never)).toThrow(/INVALID_(ARGUMENT|KEY)/)
      },
    )
  })

  describe('retry()', () => {
    test('of a parked job lets its place be owed again, and synced waits for it', async () => {
      const backend = new RefusingBackend()
      backend.refused.set('k', refusal('TOO_LARGE'))
      const store = await open({ backend })
      await putAll(store, ['k'])
      await expect(store.synced('k')).rejects.toMatchObject({ code: 'TOO_LARGE' })
      expect((await store.stat('k'))?.locations).toMatchObject([{ state: 'failed', error: { code: 'TOO_LARGE' } }])
      await store.pause('a')
      expect(await store.retry()).toBe(1)
      const [location] = (await store.stat('k'))?.locations ?? []
      expect(location).toMatchObject({ state: 'pending', synced: false })
      expect(location).not.toHaveProperty('error')
      expect(await collect(store.jobs())).toMatchObject([{ state: 'waiting', attempts: 0 }])
      const waiting = watch(store.synced('k'))
      await settle()
      expect(waiting.settled).toBe(false)
      backend.refused.clear()
      await store.resume('a')
      await settle()
      expect(waiting).toEqual({ settled: true })
      expect(await store.get('k', { backend: 'a' })).toEqual(bytesOf('k'))
    })

    test('of a conflict writes once what lay there is gone, and is a conflict again while it is not', async () => {
      const backend = new MemoryBackend()
      const signal = AbortSignal.timeout(HOUR)
      await backend.put(
        'k',
        (async function* () {
          yield Buffer.from('theirs')
        })(),
        { signal },
      )
      const store = await open({ backend })
      await putAll(store, ['k'])
      const state = async () => (await store.stat('k'))?.locations[0]?.state
      expect(await state()).toBe('conflict')
      await store.retry()
      await settle()
      expect(await state()).toBe('conflict')
      await backend.delete('k', { signal })
      await store.retry()
      await store.synced()
      expect(await state()).toBe('synced')
    })

    test('takes those of its filter, and says how many', async () => {
      const backend = new RefusingBackend()
      for (const key of names(4)) backend.refused.set(key, refusal('TOO_LARGE'))
      const store = await open({ backend })
      await putAll(store, names(4))
      await store.pause('a')
      expect(await store.retry({ backend: 'b' })).toBe(0)
      expect(await store.retry({ key: 'k0' })).toBe(1)
      expect(await store.retry({ id: idOf(bytesOf('k1')) })).toBe(1)
      expect((await stateOf(store)).jobs).toMatchObject({ waiting: 2, parked: 2 })
      expect(await store.retry({ backend: 'a' })).toBe(2)
      expect(await store.retry()).toBe(0)
    })

    test('with a state, which could only be one, rejects with INVALID_ARGUMENT', async () => {
      const store = await open({ backend: new MemoryBackend() })
      await expect(store.retry({ state: 'waiting' } as never)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    })
  })

  describe.each(['UNAUTHENTICATED', 'MISCONFIGURED'] as const)('a backend that fails with %s', (code) => {
    test('is unusable, asked ever less, and its jobs keep all their attempts', async () => {
      const backend = new FaultyBackend(new MemoryBackend())
      const store = await open({ backend })
      backend.fail(refusal(code))
      await putAll(store, names(50))
      const waiting = watch(store.synced())
      await pass(HOUR, 10 * SECOND)
      expect(await stateOf(store)).toMatchObject({ state: 'unusable', code, jobs: { waiting: 50, parked: 0 } })
      for await (const job of store.jobs()) expect(job.attempts).toBe(0)
      expect(backend.calls.open + backend.calls.put).toBeLessThanOrEqual(100)
      expect(waiting.settled).toBe(false)
    })

    test('goes on by itself once it works again', async () => {
      const backend = new FaultyBackend(new MemoryBackend())
      const store = await open({ backend })
      backend.fail(refusal(code))
      await putAll(store, names(50))
      await pass(20 * MINUTE, 10 * SECOND)
      backend.heal()
      const waiting = watch(store.synced())
      // A probe, and then those that were tried before, each at its own time.
      await pass(MAX_PROBE_WAIT_MS, SECOND)
      expect((await stateOf(store)).state).toBe('ok')
      await pass(HOUR, 10 * SECOND)
      expect(waiting).toEqual({ settled: true })
    })

    test('goes on at once after resume()', async () => {
      const backend = new FaultyBackend(new MemoryBackend())
      const store = await open({ backend })
      backend.fail(refusal(code))
      await putAll(store, names(50))
      await pass(20 * MINUTE, 10 * SECOND)
      backend.heal()
      await store.resume('a')
      await settle()
      expect((await stateOf(store)).state).toBe('ok')
      expect((await stateOf(store)).jobs.waiting).toBeLessThan(30)
    })

    test('whose credentials do not work after resume() either is unusable still, and asked once more', async () => {
      const backend = new FaultyBackend(new MemoryBackend())
      const store = await open({ backend })
      backend.fail(refusal(code))
      await putAll(store, names(50))
      await pass(20 * MINUTE, 10 * SECOND)
      const before = backend.calls.open + backend.calls.put
      await store.resume('a')
      await settle()
      expect(backend.calls.open + backend.calls.put).toBe(before + 1)
      expect((await stateOf(store)).state).toBe('unusable')
    })
  })

  test('PERMISSION_DENIED of one key among others stops none of them', async () => {
    const backend = new RefusingBackend()
    backend.refused.set('k3', refusal('PERMISSION_DENIED'))
    const store = await open({ backend })
    await putAll(store, names(30))
    expect(await stateOf(store)).toMatchObject({ state: 'ok', jobs: { waiting: 1, parked: 0 } })
    expect(await collect(store.jobs())).toMatchObject([
      { key: 'k3', attempts: 1, error: { code: 'PERMISSION_DENIED' } },
    ])
    backend.refused.clear()
    const waiting = watch(store.synced())
    await pass(MINUTE)
    expect(waiting).toEqual({ settled: true })
  })

  describe('trouble of a few', () => {
    /** A backend that refuses what lies below `bad/`, and what it was asked for. */
    const refusing = (code: StorageErrorCode, keys: readonly string[]) => {
      const backend = new RefusingBackend()
      for (const key of keys) backend.refused.set(key, refusal(code))
      return backend
    }
    const bad = Array.from({ length: 20 }, (_, i) => `bad/${i}`)

    test('that nobody knows the meaning of (INTERNAL) delays no other, and is parked in the end', async () => {
      const backend = refusing('INTERNAL', bad)
      const store = await open({ backend })
      await putAll(store, [...bad, ...names(41)])
      // Queued in one millisecond, they have no order among each other.
      expect((await collect(store.jobs())).map(({ key }) => key).sort()).toEqual([...bad].sort())
      expect((await stateOf(store)).state).toBe('ok')
      await pass(12 * HOUR, MINUTE)
      expect((await stateOf(store)).jobs).toMatchObject({ waiting: 0, parked: 20 })
      expect(backend.calls['bad/0']).toBe(25)
    })

    test.for(['PERMISSION_DENIED', 'UNAVAILABLE', 'NO_SPACE'] as const)(
      'in one directory (%s) delays nothing elsewhere, neither what waits nor what comes later',
      async (code) => {
        const backend = refusing(code, bad.slice(0, 8))
        const store = await open({ backend, concurrency: 4 })
        await store.pause('a')
        await putAll(store, [...bad.slice(0, 8), ...names(20).map((key) => `good/${key}`)])
        await store.resume('a')
        await settle()
        await settle()
        expect((await collect(store.jobs())).map(({ key }) => key)).toEqual(bad.slice(0, 8))
        for (let hour = 0; hour < 5; hour++) {
          await pass(HOUR, MINUTE)
          await putAll(store, [`later/${hour}`])
          expect((await stateOf(store)).jobs.waiting).toBe(8)
        }
      },
    )
  })

  test('PERMISSION_DENIED of one key with nothing else to do holds up what comes by two probes at most', async () => {
    const backend = new RefusingBackend()
    backend.refused.set('denied', refusal('PERMISSION_DENIED'))
    const store = await open({ backend })
    await putAll(store, ['denied'])
    await pass(6 * HOUR, MINUTE)
    await putAll(store, names(10))
    await pass(2 * MAX_PROBE_WAIT_MS + MINUTE, 10 * SECOND)
    expect((await collect(store.jobs())).map(({ key }) => key)).toEqual(['denied'])
  })

  test('NO_SPACE for everything makes a backend unusable; nothing is parked, and all goes on when there is room', async () => {
    const backend = new FaultyBackend(new MemoryBackend())
    const store = await open({ backend })
    backend.fail(refusal('NO_SPACE'))
    await putAll(store, names(50))
    await pass(6 * HOUR, MINUTE)
    expect(await stateOf(store)).toMatchObject({
      state: 'unusable',
      code: 'NO_SPACE',
      jobs: { waiting: 50, parked: 0 },
    })
    backend.heal()
    const waiting = watch(store.synced())
    await pass(2 * HOUR, MINUTE)
    expect(waiting).toEqual({ settled: true })
  })

  test('what arrived of a put that may be gone on with is spared for a day', async () => {
    const place = new MemoryPlace()
    const begun = (hours: number) => ({
      key: 'k',
      size: 2,
      sha256: undefined,
      begun: Date.now() - hours * HOUR,
      chunks: [],
    })
    place.arrived.set('yesterday', begun(25)).set('today', begun(23))
    await open({ backend: new MemoryBackend({ place }) })
    await settle()
    expect([...place.arrived.keys()]).toEqual(['today'])
  })

  test('jobs that were cut off note no failure, and wait for the next start', async () => {
    const backend = new GatedBackend()
    const store = await open({ backend, concurrency: 2 })
    await putAll(store, names(2))
    expect(backend.begun).toHaveLength(2)
    const removing = store.removeBackend('a', { force: true })
    await pass(SECOND)
    await removing
    const jobs = await collect(store.jobs())
    expect(jobs).toMatchObject([{ state: 'waiting', attempts: 0, begun: true }, { attempts: 0 }])
    expect(jobs.filter(({ error }) => error)).toEqual([])
  })

  describe('an outage', () => {
    test('of an hour, with two thousand jobs, costs at most 200 requests; then all is there within 30 s of the first good one, but what was tried', async () => {
      const backend = new FaultyBackend(new MemoryBackend())
      const store = await open({ backend })
      await store.pause('a')
      await Promise.all(names(2000).map((key) => store.put(bytesOf(key), { key })))
      backend.fail(refusal('UNAVAILABLE'))
      await store.resume('a')
      await pass(HOUR, 10 * SECOND)
      const { open: opens, put, get, stat, delete: deletes, list } = backend.calls
      expect(opens + put + get + stat + deletes + list).toBeLessThanOrEqual(200)
      backend.heal()
      let waits = 0
      for (; (await stateOf(store)).state !== 'ok' && waits < 1000; waits++) await pass(SECOND)
      expect(waits * SECOND).toBeLessThanOrEqual(MAX_PROBE_WAIT_MS + SECOND)
      await pass(30 * SECOND)
      expect((await stateOf(store)).jobs.waiting).toBeLessThanOrEqual(100)
      await pass(HOUR, MINUTE)
      expect((await stateOf(store)).jobs).toEqual({ waiting: 0, running: 0, parked: 0, bytes: 0 })
    })

    test('parks nothing, however long it lasts', async () => {
      const backend = new FaultyBackend(new MemoryBackend())
      const store = await open({ backend })
      backend.fail(refusal('UNAVAILABLE'))
      await putAll(store, names(3))
      await pass(48 * HOUR, 5 * MINUTE)
      expect(await stateOf(store)).toMatchObject({ state: 'failing', jobs: { waiting: 3, parked: 0 } })
    })

    test('of one backend is none of the other', async () => {
      const backend = new FaultyBackend(new MemoryBackend())
      const store = await open({ backend })
      backend.fail(refusal('UNAVAILABLE'))
      for (const key of names(50)) await store.put(bytesOf(key), { key, backends: ['a', 'b'] })
      await store.synced(undefined, { backends: ['b'] })
      expect([(await stateOf(store)).state, (await stateOf(store, 'b')).state]).toEqual(['failing', 'ok'])
    })
  })

  describe.each([
    ['cannot be opened', (a: FaultyBackend) => a.fail(refusal('UNAUTHENTICATED'))],
    ['breaks off', (a: FaultyBackend) => a.set({ cut: 1 })],
  ] as const)('a source that %s', (_, breakIt) => {
    test('is not held against the backend that the copy is for, and the copy is made once it works', async () => {
      const a = new FaultyBackend(new MemoryBackend())
      const store = await open({ backend: a })
      await store.pause('b')
      for (const key of names(10)) await store.put(bytesOf(key), { key, backends: ['a', 'b'] })
      await store.synced(undefined, { backends: ['a'] })
      await releaseStaged(names(10))
      breakIt(a)
      await store.resume('b')
      await settle()
      expect(await stateOf(store, 'b')).toMatchObject({ state: 'ok', jobs: { waiting: 10, parked: 0 } })
      for await (const { error } of store.jobs()) expect(error?.message).not.toMatch(/^b /)
      a.heal()
      const waiting = watch(store.synced())
      await pass(HOUR, 10 * SECOND)
      expect(waiting).toEqual({ settled: true })
    })
  })

  describe('RATE_LIMITED', () => {
    test('leaves the backend alone for as long as it asks, and costs no attempt', async () => {
      const backend = new FaultyBackend(new MemoryBackend())
      const store = await open({ backend, concurrency: 1 })
      backend.fail(refusal('RATE_LIMITED', { retryAfterMs: 90 * SECOND }))
      await putAll(store, names(3))
      expect(await stateOf(store)).toMatchObject({ state: 'failing', retryAt: Date.now() + 90 * SECOND })
      const calls = { ...backend.calls }
      backend.heal()
      await pass(89 * SECOND)
      expect(backend.calls).toEqual(calls)
      for await (const job of store.jobs()) expect(job.attempts).toBe(0)
      const waiting = watch(store.synced())
      await pass(2 * SECOND)
      expect(waiting).toEqual({ settled: true })
    })
  })

  describe('idleTimeoutMs', () => {
    test('ends a put that stalls with TIMEOUT, and no sooner; other backends go on', async () => {
      const backend = new FaultyBackend(new MemoryBackend(), { hang: 1 })
      const store = await open({ backend, idleTimeoutMs: 20 * SECOND })
      const failures: StoreEvent[] = []
      store.on('sync:retry', (event) => failures.push(event))
      await store.put(bytesOf('k'), { key: 'k', backends: ['a', 'b'] })
      await store.synced('k', { backends: ['b'] })
      await pass(19 * SECOND)
      expect(failures).toEqual([])
      await pass(2 * SECOND)
      expect(failures).toMatchObject([{ backend: 'a', error: { code: 'TIMEOUT' } }])
      backend.heal()
      await pass(MINUTE)
      await store.synced()
    })

    test('is no limit for a put that is slow but moves', async () => {
      const store = await open({ backend: new SteppingBackend(15 * SECOND), idleTimeoutMs: 20 * SECOND })
      const failures: StoreEvent[] = []
      store.on('sync:retry', (event) => failures.push(event))
      await putAll(store, ['k'])
      const waiting = watch(store.synced())
      await pass(149 * SECOND)
      expect(waiting.settled).toBe(false)
      await pass(2 * SECOND)
      expect(waiting).toEqual({ settled: true })
      expect(failures).toEqual([])
    })
  })

  test.each([-1, 1])('a clock set by %i year leaves nothing behind', async (years) => {
    const backend = new FaultyBackend(new MemoryBackend())
    const store = await open({ backend })
    backend.fail(refusal('UNAVAILABLE'))
    await putAll(store, names(20))
    await pass(10 * MINUTE, 10 * SECOND)
    vi.setSystemTime(Date.now() + years * 365 * 24 * HOUR)
    backend.heal()
    const waiting = watch(store.synced())
    await pass(2 * HOUR, MINUTE)
    expect(waiting).toEqual({ settled: true })
  })

  test('an idle store sets no timer', async () => {
    const store = await open({ backend: new MemoryBackend() })
    await putAll(store, names(20))
    await store.synced()
    await settle()
    // The last look of each guard, when a call of its backend could have stalled.
    await pass(MINUTE, MINUTE)
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe('what a process leaves', () => {
  test('a pause outlives it', async () => {
    await using dir = await temp()
    {
      await using store = await openAt(dir.path)
      await store.pause('a')
    }
    await using store = await openAt(dir.path)
    await store.put(bytesOf('k'), { key: 'k' })
    await store.synced(undefined, { backends: ['b'] })
    expect(await filesBelow(path.join(dir.path, 'a')).catch(() => ({}))).toEqual({})
    expect(await store.getBackend('a')).toMatchObject({ state: 'paused', jobs: { waiting: 1 } })
    await store.resume('a')
    await store.synced()
    expect(await filesBelow(path.join(dir.path, 'a'))).toEqual({ k: 'bytes of k' })
  })

  test('status() of a store that nobody syncs says so, and knows no state', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { sync: false })
    await store.put(bytesOf('k'), { key: 'k' })
    expect(await store.status()).toMatchObject({
      syncing: 'nowhere',
      backends: [
        { name: 'a', state: 'unknown', jobs: { waiting: 1 } },
        { name: 'b', state: 'unknown', jobs: { waiting: 1 } },
      ],
    })
  })

  test('a job that kills it three times is parked with a reason; all others are done', async () => {
    await using dir = await temp()
    const keys = [...names(20), 'poison', ...names(40).slice(20)]
    const a = { driver: 'fs', root: path.join(dir.path, 'a') }
    {
      await using store = await openStore({ path: path.join(dir.path, 'store'), backends: { a }, sync: false })
      for (const key of keys) await store.put(bytesOf(key), { key })
    }
    const child = fileURLToPath(new URL('poison.child.ts', import.meta.url))
    const ends: unknown[] = []
    do {
      const running = spawn(process.execPath, [child, dir.path], { stdio: ['ignore', 'ignore', 'inherit'] })
      ends.push((await once(running, 'exit')).find((end) => end !== null))
    } while (ends.at(-1) === 'SIGKILL' && ends.length < 10)
    expect(ends).toEqual(['SIGKILL', 'SIGKILL', 'SIGKILL', 0])

    await using store = await openStore({ path: path.join(dir.path, 'store'), backends: { a }, sync: false })
    expect(await collect(store.jobs())).toMatchObject([
      { key: 'poison', state: 'parked', crashes: 3, error: { code: 'INTERNAL' } },
    ])
    expect((await store.stat('poison'))?.locations).toMatchObject([{ state: 'failed', error: { code: 'INTERNAL' } }])
    const written = await filesBelow(path.join(dir.path, 'a'))
    expect(Object.keys(written).sort()).toEqual(keys.filter((key) => key !== 'poison').sort())
    expect(await store.get('poison')).toEqual(bytesOf('poison'))
    expect(await store.retry()).toBe(1)
  })

  test('neither it nor its events, errors and status hold what an error keeps to itself', async () => {
    const SECRET = 'AKIA-do-not-tell'
    await using dir = await temp()
    const backend = new RefusingBackend()
    const cause = Object.assign(new Error(`401 for ${SECRET}`), { config: { secretAccessKey: SECRET } })
    backend.refused.set('denied', refusal('UNAUTHENTICATED', { cause }))
    backend.refused.set('parked', refusal('TOO_LARGE', { cause }))
    const told: unknown[] = []
    {
      await using store = await openStore({ path: path.join(dir.path, 'store'), backends: { a: { backend } } })
      const retried = new Promise<void>((resolve) => void store.on('sync:retry', () => resolve()))
      for (const type of ['put', 'sync:start', 'sync:retry', 'sync:complete', 'sync:error'] as const)
        store.on(type, (event) => told.push(event))
      await store.put(bytesOf('parked'), { key: 'parked' })
      told.push(await store.synced().catch((error: StorageError) => ({ ...error, message: error.message })))
      await store.put(bytesOf('denied'), { key: 'denied' })
      await retried
      told.push(await store.status(), await collect(store.jobs()), await collect(store.list()))
      told.push(await collect(store.events()))
    }
    const text = JSON.stringify(told)
    expect(text).toContain('UNAUTHENTICATED')
    expect(text).toContain('TOO_LARGE')
    expect(text).not.toContain(SECRET)
    for (const entry of await readdir(path.join(dir.path, 'store'), { recursive: true, withFileTypes: true }))
      if (entry.isFile()) expect((await readFile(path.join(entry.parentPath, entry.name))).includes(SECRET)).toBe(false)
  })
})
