import { checksums } from '@stored/checksumd'
import { type Committed, isLeaving, releaseVerified, StoreD, type Transaction, type View } from '@stored/core'
import { MemoryBackend, type MemoryBlob, MemoryPlace, StorageError } from '@stored/core/backend'
import { BlobIndex } from '@stored/index'
import { MemoryLedger } from '@stored/ledger'
import { DurableStaging } from '@stored/staging'
import { JobQueue, SyncD } from '@stored/syncd'
import { dumpOf } from '@stored/testing/rows/dump'
import { checkRows } from '@stored/testing/rows/row-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { collect, idOf, type TempDirectory, temp } from './temp.ts'

const X = Buffer.from('x')
const Y = Buffer.from('y')
type Name = 'a' | 'b'

/** What one process does with a ledger that it shares: others come in between its commits, and it dies. */
class Process extends MemoryLedger {
  /** What is done before its next commits: one for each. */
  readonly before: (() => Promise<unknown>)[] = []
  /** Commits until it dies. */
  lives = Number.POSITIVE_INFINITY
  readonly #shared: MemoryLedger

  constructor(shared: MemoryLedger) {
    super()
    this.#shared = shared
    for (const name of ['look', 'refresh', 'record', 'events', 'get', 'range', 'useTree', 'table'] as const)
      if (name in shared) Object.assign(this, { [name]: (shared[name as 'look'] as CallableFunction).bind(shared) })
  }

  override async transact<T>(plan: (tx: Transaction) => T): Promise<Committed<T>> {
    await this.before.shift()?.()
    if (this.lives-- <= 0) throw new StorageError('CLOSED', { op: 'commit' })
    return this.#shared.transact(plan)
  }
}

let dir: TempDirectory
/** Of the clock of all processes. */
let aheadMs: number
let shared: MemoryLedger
let places: Record<Name, MemoryPlace>
let stores: StoreD<Name>[]

beforeEach(async () => {
  const now = Date.now.bind(Date)
  aheadMs = 0
  vi.spyOn(Date, 'now').mockImplementation(() => now() + aheadMs)
  dir = await temp()
  shared = new MemoryLedger()
  places = { a: new MemoryPlace(), b: new MemoryPlace() }
  stores = []
})

afterEach(async () => {
  for (const store of stores.toReversed()) await store.close()
  vi.restoreAllMocks()
  expect(checkRows(dumpOf(shared)).violations).toEqual([])
  await dir[Symbol.asyncDispose]()
})

/** A process that has the store open. The first one syncs. */
async function open({ sync = stores.length === 0, highWater = 1 } = {}) {
  const ledger = new Process(shared)
  const index = new BlobIndex(ledger)
  const queue = new JobQueue(ledger)
  const staging = await DurableStaging.open({ ledger, path: dir.path, highWater })
  await index.complete()
  const syncer = await SyncD.open({ ledger, index, queue, staging, sync })
  const services = { ledger, index, queue, staging, syncer, checksums, mimeTypeOf: () => 'text/plain' }
  const backends = { a: new MemoryBackend({ place: places.a }), b: new MemoryBackend({ place: places.b }) }
  const store = new StoreD<Name>({
    ...services,
    backends: { a: { backend: backends.a }, b: { backend: backends.b } },
  })
  stores.push(store)
  return { store, ledger, index, queue, staging, backends }
}

type Opened = Awaited<ReturnType<typeof open>>

/** `x` under the keys, on `a` and `b`. */
async function filled(...keys: string[]): Promise<Opened> {
  const first = await open()
  for (const key of keys) await first.store.put(X, { key })
  await first.store.synced()
  return first
}

/** As a bell of another process would: these share no directory. */
async function ring({ queue }: Opened): Promise<void> {
  for (const name of ['a', 'b']) await queue.resume(name)
}

const copyOf = async ({ store }: Opened, key: string, backend: Name) =>
  (await store.stat(key))?.locations.find((location) => location.backend === backend)

const refused = (code: string) => expect.objectContaining({ code })

describe('before the commit that removes a backend', () => {
  /** The commits of a removal are the mark and the end; in between, `action` is done. */
  async function removing(one: Opened, action: () => Promise<unknown>): Promise<void> {
    one.ledger.before.push(async () => {}, action)
    await one.store.removeBackend('a')
  }

  test('a put by another process that names it is refused; one that names none goes to the others', async () => {
    const one = await filled('k')
    const two = await open()
    await removing(one, async () => {
      await expect(two.store.put(Y, { key: 'l', backends: ['a'] })).rejects.toThrow(/"a" is being removed/)
      expect((await two.store.put(Y, { key: 'm' })).locations).toMatchObject([{ backend: 'b' }])
    })
    expect(await two.store.stat('l')).toBeNull()
    expect((await one.store.listBackends()).map(({ name }) => name)).toEqual(['b'])
  })

  test('staged bytes are released for no copy on it', async () => {
    const one = await open()
    await one.store.pause('b')
    await one.store.put(X, { key: 'k' })
    await one.store.synced(undefined, { backends: ['a'] })
    const two = await open({ highWater: 0 })
    const { index, staging } = two
    await removing(one, async () => {
      const isReliable = (view: View, name: string) => !isLeaving({ index }, view, name)
      const released = await releaseVerified({ ledger: shared, index, staging }, isReliable, Date.now())
      expect(released.blobs).toBe(0)
    })
    expect(await shared.look((view) => staging.has(view, idOf(X)))).toBe(true)
    await one.store.resume('b')
    await one.store.synced()
    expect(await one.store.get('k')).toEqual(X)
  })

  test('staged bytes count for a key only while its own object, or one that all keys share, owes them', async () => {
    const one = await open()
    await one.store.put(X, { key: 'k', backends: ['a'] })
    await one.store.synced()
    await one.store.pause('b')
    await one.store.put(X, { key: 'l', backends: ['b'] })
    await expect(one.store.removeBackend('a')).rejects.toMatchObject({ code: 'PRECONDITION_FAILED', at: { key: 'k' } })
    await one.store.put(X, { key: 'k', backends: ['b'] })
    await one.store.removeBackend('a')
    await one.store.resume('b')
    await one.store.synced()
    await one.store.delete('l')
    expect(await one.store.get('k')).toEqual(X)
  })

  test('the copy elsewhere that it counts on is not dropped, nor forgotten', async () => {
    const one = await filled('k')
    const two = await open()
    await removing(one, async () => {
      await expect(two.store.delete('k', { backends: ['b'] })).rejects.toThrow(/staged copy would remain$/)
      await expect(two.store.forget({ backend: 'b', key: 'k' })).rejects.toEqual(refused('PRECONDITION_FAILED'))
    })
    expect(await one.store.get('k')).toEqual(X)
  })

  test('damage that is found takes the mark back: the copy on it may be the last', async () => {
    const one = await filled('k')
    const two = await open()
    const removed = removing(one, async () => {
      places.b.blobs.delete('k')
      await collect(two.store.verify({ backend: 'b' }))
    })
    await expect(removed).rejects.toEqual(refused('PRECONDITION_FAILED'))
    expect(await copyOf(one, 'k', 'b')).toMatchObject({ state: 'missing' })
    expect(await copyOf(one, 'k', 'a')).toMatchObject({ state: 'synced' })
    await one.store.put(Y, { key: 'l', backends: ['a'] })
    await one.store.synced('l')
  })

  test('a copy that a job brings to it takes the mark back: its staged bytes may have been the only others', async () => {
    const one = await filled('k')
    const two = await open()
    await one.store.pause('a')
    await two.store.put(Y, { key: 'l', backends: ['a'] })
    const [job] = await collect(one.store.jobs())
    // As one that was parked and is tried again: neither waits nor runs while jobs are counted.
    const { queue } = one
    const counts = vi.spyOn(queue, 'counts').mockResolvedValue({})
    const removed = removing(one, async () => {
      counts.mockRestore()
      await one.store.resume('a')
      await one.store.synced('l')
    })
    await expect(removed).rejects.toEqual(refused('PRECONDITION_FAILED'))
    expect(job).toMatchObject({ key: 'l' })
    expect(await one.store.get('l')).toEqual(Y)
  })

  test('its parked jobs are not tried again', async () => {
    const one = await filled('k')
    const two = await open()
    places.a.blobs.set('l', places.a.blobs.get('k') as MemoryBlob)
    await one.store.put(Y, { key: 'l' })
    await expect(one.store.synced('l')).rejects.toThrow()
    await removing(one, async () => expect(await two.store.retry()).toBe(0))
  })

  test('its bad copies are not owed again', async () => {
    const one = await filled('k')
    const two = await open()
    places.a.blobs.delete('k')
    await collect(one.store.verify())
    await removing(one, async () => {
      expect((await two.store.repair('k')).copies).toMatchObject([{ backend: 'a', outcome: 'overtaken' }])
    })
    expect(await collect(one.store.jobs())).toEqual([])
  })

  test('another removal of it is refused', async () => {
    const one = await filled('k')
    const two = await open()
    await removing(one, async () => {
      await expect(two.store.removeBackend('a')).rejects.toEqual(refused('CONFLICT'))
    })
  })

  test('another removal of a backend that it counts on is refused, and it too where each counts on the other', async () => {
    const one = await filled('k')
    const two = await open()
    await removing(one, async () => {
      await expect(two.store.removeBackend('b')).rejects.toEqual(refused('PRECONDITION_FAILED'))
    })
    expect(await one.store.get('k')).toEqual(X)
  })

  test('a removal by force of a backend that it counts on takes the mark back', async () => {
    const one = await filled('k')
    const two = await open()
    const removed = removing(one, () => two.store.removeBackend('b', { force: true }))
    await expect(removed).rejects.toEqual(refused('PRECONDITION_FAILED'))
    expect(await one.store.get('k')).toEqual(X)
  })

  test('what was put since the first check is found by the second', async () => {
    const one = await filled('k')
    const two = await open()
    await one.store.pause('a')
    one.ledger.before.push(() => two.store.put(Y, { key: 'l', backends: ['a'] }))
    await expect(one.store.removeBackend('a')).rejects.toThrow(/1 job is waiting/)
    await one.store.resume('a')
    await one.store.synced()
    await two.store.put(X, { key: 'n', backends: ['a'] })
    await ring(one)
    await one.store.synced()
  })

  test('a deletion goes on, and what it leaves there waits for the next backend of that name', async () => {
    const one = await filled('k')
    const two = await open()
    await removing(one, () => two.store.delete('k'))
    expect(await one.store.stat('k')).toBeNull()
    expect([...places.a.blobs.keys()]).toEqual(['k'])
    one.store.addBackend('a', { backend: new MemoryBackend({ place: places.a }) })
    await ring(one)
    await one.store.synced()
    expect([...places.a.blobs.keys()]).toEqual([])
  })
})

test('a store that closes while it counts what a removed backend leaves does not wait for that: the next one that opens it goes on', async () => {
  const one = await filled('k')
  const counting = Promise.withResolvers<void>()
  vi.spyOn(one.index, 'complete').mockImplementation(async (signal) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    counting.resolve()
    await new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
  })
  const removed = one.store.removeBackend('a')
  await counting.promise
  const closed = one.store.close()
  vi.advanceTimersByTime(5000)
  vi.useRealTimers()
  await Promise.all([removed, closed])
  const two = await open()
  expect(await two.store.getBackend('a')).toMatchObject({ bad: { unknown: 1 } })
})

describe('a process that dies while it removes a backend', () => {
  // What the dead one would say.
  beforeEach(() => void vi.spyOn(process, 'emitWarning').mockImplementation(() => {}))

  test.each([0, 1])(
    'before commit %i leaves all as it was, and hinders nobody for longer than half a minute',
    async (commits) => {
      const one = await filled('k')
      one.ledger.lives = commits
      await expect(one.store.removeBackend('a')).rejects.toThrow()
      const two = await open()
      expect(await copyOf(two, 'k', 'a')).toMatchObject({ state: 'synced' })
      aheadMs = 30_000
      expect((await two.store.put(Y, { key: 'l', backends: ['a'] })).locations).toMatchObject([{ backend: 'a' }])
      await expect(two.store.removeBackend('a')).rejects.toThrow(/1 job is waiting/)
    },
  )

  test.each([2, 3])(
    'before commit %i has removed it: the next process that opens the store counts what it finds',
    async (commits) => {
      const one = await filled('k', 'l')
      one.ledger.lives = commits
      await one.store.removeBackend('a').catch(() => {})
      const two = await open()
      expect(await copyOf(two, 'k', 'a')).toMatchObject({ state: 'unknown' })
      expect(await two.store.getBackend('a')).toMatchObject({ bad: { unknown: 2 } })
      await collect(two.store.verify())
      expect(await copyOf(two, 'k', 'a')).toMatchObject({ state: 'synced' })
      expect(await two.store.getBackend('a')).toMatchObject({ bad: {} })
    },
  )

  test('whose mark somebody took back does not go on where it was', async () => {
    const one = await filled('k')
    const two = await open()
    one.ledger.before.push(
      async () => {},
      async () => {
        // It stood still.
        aheadMs = 30_000
        await two.store.put(Y, { key: 'l', backends: ['a'] })
      },
    )
    await expect(one.store.removeBackend('a')).rejects.toEqual(refused('PRECONDITION_FAILED'))
    expect(await one.store.get('l')).toEqual(Y)
  })

  test('whose mark somebody took back leaves alone the mark of who removes it next', async () => {
    const one = await filled('k')
    const two = await open()
    const [marked, refusedOne] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    two.ledger.before.push(
      async () => {},
      async () => {
        marked.resolve()
        await refusedOne.promise
      },
    )
    let next: Promise<void> | undefined
    one.ledger.before.push(
      async () => {},
      async () => {
        aheadMs = 30_000
        next = two.store.removeBackend('a')
        await marked.promise
      },
    )
    await expect(one.store.removeBackend('a')).rejects.toEqual(refused('PRECONDITION_FAILED'))
    refusedOne.resolve()
    await next
    expect(await two.store.listBackends()).toMatchObject([{ name: 'b' }])
  })
})

describe('a backend that another process removed', () => {
  test('is refused by name, left out otherwise, and closed once that is heard of', async () => {
    const one = await filled('k')
    const two = await open()
    await one.store.removeBackend('a')
    await expect(two.store.put(Y, { key: 'l', backends: ['a'] })).rejects.toThrow(/"a" was removed/)
    expect((await two.store.put(Y, { key: 'l' })).locations).toMatchObject([{ backend: 'b' }])
    expect((await two.store.status()).backends.map(({ name }) => name)).toEqual(['b'])
    two.store.addBackend('a', { backend: new MemoryBackend({ place: places.a }) })
    expect((await two.store.put(Y, { key: 'l' })).locations).toHaveLength(2)
  })

  test('is removed once, by two at the same moment', async () => {
    const one = await filled('k')
    const two = await open()
    await Promise.all([one, two].map(({ store }) => store.removeBackend('a', { force: true })))
    expect(await shared.look((view) => one.index.tenure(view, 'a'))).toEqual({ generation: 1 })
  })

  test('gets no job that is claimed afterwards: the next of its name gets it', async () => {
    const one = await filled('k')
    const two = await open()
    await two.store.removeBackend('a')
    const former = places.a
    places.a = new MemoryPlace()
    two.store.addBackend('a', { backend: new MemoryBackend({ place: places.a }) })
    await two.store.put(Y, { key: 'l' })
    await ring(one)
    await one.store.synced('l', { backends: ['b'] })
    await one.store.close()
    const three = await open({ sync: true })
    await three.store.synced('l')
    expect([...former.blobs.keys()]).toEqual(['k'])
    expect([...places.a.blobs.keys()]).toEqual(['l'])
  })

  test('does not settle into the next one what it was about to write, nor park it there', async () => {
    const one = await filled('k')
    const two = await open()
    const held = Promise.withResolvers<void>()
    const begun = Promise.withResolvers<void>()
    const put = one.backends.a.put.bind(one.backends.a)
    one.backends.a.put = async (...args) => {
      begun.resolve()
      await held.promise
      if (args[0] === 'refused') throw new StorageError('TOO_LARGE', { op: 'put' })
      return put(...args)
    }
    await two.store.put(Y, { key: 'l', backends: ['a'] })
    await two.store.put(Y, { key: 'refused', backends: ['a'] })
    await ring(one)
    await begun.promise
    await two.store.removeBackend('a', { force: true })
    places.a = new MemoryPlace()
    two.store.addBackend('a', { backend: new MemoryBackend({ place: places.a }) })
    held.resolve()
    await one.store.close()
    const locations = await Promise.all(['l', 'refused'].map((key) => copyOf(two, key, 'a')))
    expect(locations).toMatchObject([{ state: 'pending' }, { state: 'pending' }])
    const three = await open({ sync: true })
    await three.store.synced()
    expect([...places.a.blobs.keys()].sort()).toEqual(['l', 'refused'])
  })

  test('tells nothing of the copies of the next one', async () => {
    const one = await filled('k')
    const two = await open()
    await two.store.removeBackend('a')
    two.store.addBackend('a', { backend: new MemoryBackend({ place: places.a }) })
    one.backends.a.get = () => Promise.reject(new StorageError('NOT_FOUND', { op: 'get' }))
    one.backends.a.stat = async () => null
    await collect(one.store.verify({ backend: 'a' }))
    expect(await copyOf(two, 'k', 'a')).toMatchObject({ state: 'unknown' })
    await collect(two.store.verify())
    await one.store.get('k', { backend: 'a' }).catch(() => {})
    expect(await copyOf(two, 'k', 'a')).toMatchObject({ state: 'synced' })
  })
})

describe('a backend that was removed and added again', () => {
  const KEYS = Array.from({ length: 40 }, (_, i) => `k${i}`)

  async function readded(): Promise<Opened> {
    const one = await filled(...KEYS)
    await one.store.removeBackend('a')
    one.store.addBackend('a', { backend: new MemoryBackend({ place: places.a }) })
    return one
  }

  test('has copies that are unknown, none of which was written', async () => {
    const one = await filled(...KEYS)
    const rows = () => dumpOf(shared).keys.map(([key, value]) => [key.toString(), value.toString('hex')])
    const before = rows()
    await one.store.removeBackend('a')
    expect(rows()).toEqual(before)
    one.store.addBackend('a', { backend: new MemoryBackend({ place: places.a }) })
    const listed = await collect(one.store.list({ backend: 'a' }))
    expect(listed.map(({ locations }) => locations[0]?.state)).toEqual(KEYS.map(() => 'unknown'))
    expect(await one.store.getBackend('a')).toMatchObject({ bad: { unknown: KEYS.length } })
  })

  test('owes a copy again to whoever puts the key again', async () => {
    const one = await readded()
    await one.store.put(X, { key: 'k0' })
    await one.store.synced('k0')
    expect(await copyOf(one, 'k0', 'a')).toMatchObject({ state: 'synced' })
    expect(await one.store.getBackend('a')).toMatchObject({ bad: { unknown: KEYS.length - 1 } })
  })

  test('has its copies removed with their keys, those of either generation', async () => {
    const one = await readded()
    await one.store.put(X, { key: 'k0' })
    await one.store.synced('k0')
    await one.store.delete('k1')
    await one.store.delete(idOf(X))
    await one.store.synced()
    expect(places.a.blobs.size).toBe(0)
    expect(await one.store.getBackend('a')).toMatchObject({ bad: {} })
  })

  test('is none to rely on until its copies are verified', async () => {
    const one = await readded()
    await expect(one.store.delete('k0', { backends: ['b'] })).rejects.toEqual(refused('PRECONDITION_FAILED'))
    await expect(one.store.removeBackend('b')).rejects.toEqual(refused('PRECONDITION_FAILED'))
    await collect(one.store.verify())
    await one.store.removeBackend('b')
  })

  test('can be removed again', async () => {
    const one = await readded()
    await collect(one.store.verify())
    await one.store.removeBackend('a')
    one.store.addBackend('a', { backend: new MemoryBackend({ place: places.a }) })
    expect(await copyOf(one, 'k0', 'a')).toMatchObject({ state: 'unknown' })
    await collect(one.store.verify())
    expect(await copyOf(one, 'k0', 'a')).toMatchObject({ state: 'synced' })
  })
})
