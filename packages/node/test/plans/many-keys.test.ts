import { checksums } from '@stored/checksumd'
import { type BlobId, type LocationFacts, releaseVerified, StoreD, type Transaction, type View } from '@stored/core'
import { MemoryBackend } from '@stored/core/backend'
import { BlobIndex } from '@stored/index'
import { MemoryLedger, type TreeLedger } from '@stored/ledger'
import { DurableStaging } from '@stored/staging'
import { JobQueue, SyncD } from '@stored/syncd'
import { dumpOf } from '@stored/testing/rows/dump'
import { checkLog } from '@stored/testing/rows/replay'
import { checkRows } from '@stored/testing/rows/row-check'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { collect, temp } from '../temp.ts'
import { A, at, B, bindingOf, factsOf, ID_A, ID_B, idKeyOf } from './world.ts'

const HOLDS = { id: ID_A, etag: '"1"' }
const SHARED = idKeyOf(ID_A)
/** Reads of one plan, or one look, however many keys there are: 100 keys take up to thirty each. */
const MOST_ROWS = 3000

/** A ledger that counts what each plan and look reads, and lets others in before a commit. */
class Watched {
  readonly ledger: TreeLedger
  most = 0
  commits = 0
  #isIn = false
  before: (commit: number) => Promise<void> | void = () => {}

  constructor(ledger: TreeLedger) {
    const look = <T>(read: (view: View) => T) => ledger.look((view) => this.#counted(view, read))
    const transact = async <T>(plan: (tx: Transaction) => T) => {
      this.commits++
      await this.#letIn()
      return ledger.transact((tx) => this.#counted(tx, plan))
    }
    this.ledger = new Proxy(ledger, {
      get: (_, name) => {
        if (name === 'look') return look
        if (name === 'transact') return transact
        // A store that closes closes its ledger; others have it open.
        if (name === 'close') return async () => {}
        const value: unknown = Reflect.get(ledger, name)
        return typeof value === 'function' ? value.bind(ledger) : value
      },
    })
  }

  /** Calls made meanwhile let nobody in. */
  async #letIn(): Promise<void> {
    if (this.#isIn) return
    this.#isIn = true
    try {
      await this.before(this.commits)
    } finally {
      this.#isIn = false
    }
  }

  #counted<V extends object, T>(view: V, run: (view: V) => T): T {
    let rows = 0
    const counting = new Proxy(view, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name)
        if (typeof value !== 'function') return value
        return (...given: unknown[]) => {
          const result = value.apply(target, given)
          if (name === 'get') rows++
          if (name === 'range') rows += result.length
          return result
        }
      },
    })
    const result = run(counting)
    this.most = Math.max(this.most, rows)
    return result
  }
}

/** Stores over one ledger, as processes have it. Nobody syncs. Backends `x` and `y` are of layout key, `s` of layout id. */
async function openShared() {
  const directory = await temp()
  onTestFinished(() => directory[Symbol.asyncDispose]())
  const shared = new MemoryLedger()
  const opened: StoreD<string>[] = []
  const open = async () => {
    const watched = new Watched(shared)
    const { ledger } = watched
    const index = new BlobIndex(ledger)
    await index.complete()
    const queue = new JobQueue(ledger)
    const staging = await DurableStaging.open({ ledger, path: directory.path })
    const syncer = await SyncD.open({ ledger, index, queue, staging, sync: false })
    const bells = vi.spyOn(syncer, 'onRing')
    const services = { ledger, index, queue, staging, syncer, checksums, mimeTypeOf: () => 'text/plain' }
    const backends = {
      x: { backend: new MemoryBackend() },
      y: { backend: new MemoryBackend() },
      s: { backend: new MemoryBackend(), layout: 'id' as const },
    }
    const store = new StoreD<string>({ ...services, backends })
    opened.push(store)
    // Until it has looked for deletions that were cut off: it would help with those that a test begins.
    await store.status()
    watched.commits = 0
    /** As a commit of another process would: these share no directory. */
    const ring = () => bells.mock.calls.forEach(([heard]) => void heard())
    return { store, watched, index, queue, staging, syncer, ring }
  }
  onTestFinished(async () => {
    for (const store of opened) await store.close()
  })
  const first = await open()
  /** Puts, as their events tell them; copies as given. */
  const given = async (
    keys: readonly string[],
    copiesOf: (key: string) => LocationFacts[],
    ...all: LocationFacts[]
  ) => {
    const { index } = first
    for (let next = 0; next < keys.length; next += 500)
      await shared.transact((tx) => {
        if (next === 0) index.keep(tx, factsOf(ID_A))
        for (const copy of next === 0 ? all : []) index.locate(tx, copy)
        for (const [i, key] of keys.slice(next, next + 500).entries()) {
          index.bind(tx, bindingOf(key, ID_A, [...all, ...copiesOf(key)]))
          for (const copy of copiesOf(key)) index.locate(tx, copy)
          shared.record(tx, { type: 'put', checksum: ID_A, key, size: 1, isNew: next + i === 0, time: 1 })
        }
      })
  }
  const wrong = () => {
    const { rows, violations } = checkRows(dumpOf(shared))
    // Copies were given, not synced.
    const isOfKeys = (text: string) => text.includes('by the log') || /^(put|delete) at/.test(text)
    return { violations: [...violations, ...checkLog(rows).filter(isOfKeys)], isAtWork: rows.deletions.size > 0 }
  }
  return { ...first, shared, open, given, wrong }
}

function names(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `k${String(i).padStart(5, '0')}`)
}

const onX = (key: string) => [at(ID_A, 'x', key, 'synced', { holds: HOLDS })]
const onBoth = (key: string) => [...onX(key), at(ID_A, 'y', key, 'synced', { holds: HOLDS })]
const ofAll = at(ID_A, 's', SHARED, 'synced', { shared: true, holds: HOLDS })
const listed = async (store: StoreD<string>) =>
  Object.fromEntries((await collect(store.list({ missing: true }))).map(({ key, id }) => [key, id]))

describe('delete(id) of more keys than one commit removes', () => {
  test.for([101, 1200, 10_000])(
    'removes all %i, each named by one event, and walks no more than a page',
    async (count) => {
      const world = await openShared()
      const keys = names(count)
      await world.given(keys, onX, ofAll)
      const { deleted, pending } = await world.store.delete(ID_A)
      expect(deleted).toEqual(keys)
      expect(pending.toSorted()).toEqual(['s', 'x'])
      const events = (await collect(world.store.events())).filter(({ type }) => type === 'delete')
      expect(events[0]).toMatchObject({ more: true })
      expect(events.flatMap((event) => ('keys' in event ? event.keys : []))).toEqual(keys)
      expect(world.wrong()).toEqual({ violations: [], isAtWork: false })
      expect((await world.queue.counts()).x?.waiting).toBe(count)
      expect(world.watched.most).toBeLessThan(MOST_ROWS)
    },
  )

  test('of a page of keys is one commit', async () => {
    const world = await openShared()
    await world.given(names(100), onX)
    await world.store.delete(ID_A)
    expect(world.watched.commits).toBe(1)
  })

  test('is gone for readers from the first commit on, in every process', async () => {
    const world = await openShared()
    const other = await world.open()
    const keys = names(450)
    await world.given(keys, onX, ofAll)
    let looks = 0
    world.watched.before = async (commit) => {
      if (commit === 1) return
      looks++
      for (const { store } of [world, other]) {
        for (const name of [ID_A, keys[0] as string, keys.at(-1) as string]) {
          expect([await store.stat(name), await store.has(name)]).toEqual([null, false])
          await expect(store.get(name)).rejects.toMatchObject({ code: 'NOT_FOUND' })
          expect(await store.delete(name)).toEqual({ deleted: [], pending: [] })
        }
        expect(await listed(store)).toEqual({})
      }
    }
    await world.store.delete(ID_A)
    expect(looks).toBeGreaterThan(3)
    expect(await listed(world.store)).toEqual({})
  })

  test('goes on beside puts: the same bytes live again under the keys they are put to, and other bytes take a key at once', async () => {
    const world = await openShared()
    const other = await world.open()
    const keys = names(450)
    const [removed, waiting, taken] = [keys[0] as string, keys.at(-1) as string, keys.at(-2) as string]
    await world.given(keys, onX, ofAll)
    const violations: string[] = []
    world.watched.before = async (commit) => {
      violations.push(...world.wrong().violations)
      if (commit !== 2) return
      expect(await other.store.put(A, { key: waiting, ifAbsent: true, backends: ['x', 's'] })).toMatchObject({
        isNew: true,
      })
      await other.store.put(A, { key: removed, backends: ['x'] })
      await other.store.put(A, { key: 'new', backends: ['y'] })
      await other.store.put(B, { key: taken, backends: ['x'] })
    }
    const { deleted } = await world.store.delete(ID_A)
    expect(deleted).not.toContain(taken)
    const expected = { [removed]: ID_A, [waiting]: ID_A, new: ID_A, [taken]: ID_B }
    expect(await listed(world.store)).toEqual(expected)
    const live = (await collect(world.store.copies(ID_A))).map(
      ({ backend, key, state }) => `${backend}/${key} ${state}`,
    )
    expect(live.toSorted()).toEqual(
      [`s/${SHARED}`, `x/${removed}`, `x/${waiting}`, 'y/new'].map((one) => `${one} pending`),
    )
    expect([...violations, ...world.wrong().violations]).toEqual([])
    for (const key of [removed, waiting, 'new']) expect(String(await other.store.get(key))).toBe(String(A))
    // The blob's keys are of a later generation now: nothing else is any different.
    expect((await world.store.delete(ID_A)).deleted).toEqual([removed, waiting, 'new'].toSorted())
    expect(world.wrong()).toEqual({ violations: [], isAtWork: false })
  })

  test('of a blob that came to have many keys again, while the deletion before is at work, ends both', async () => {
    const world = await openShared()
    const other = await world.open()
    const keys = names(350)
    await world.given(keys, onX)
    world.watched.before = async (commit) => {
      if (commit !== 2) return
      for (const key of names(120)) await other.store.put(A, { key: `again ${key}`, backends: ['x'] })
      expect((await other.store.delete(ID_A)).deleted).toEqual(expect.arrayContaining([`again ${keys[0]}`]))
      await other.store.put(A, { key: 'last', backends: ['x'] })
    }
    await world.store.delete(ID_A)
    expect(await listed(world.store)).toEqual({ last: ID_A })
    expect(world.wrong()).toEqual({ violations: [], isAtWork: false })
    await world.store.delete('last')
    expect(world.wrong()).toEqual({ violations: [], isAtWork: false })
  })

  test('its last key goes while the deletion before is at work: that one ends all', async () => {
    const world = await openShared()
    const other = await world.open()
    const keys = names(350)
    await world.given(keys, onX, ofAll)
    world.watched.before = async (commit) => {
      if (commit !== 2) return
      await other.store.put(A, { key: 'again', backends: ['x', 's'] })
      await other.store.put(B, { key: 'again', backends: ['x'] })
      expect(await other.store.stat(ID_A)).toBeNull()
      expect(world.wrong().violations).toEqual([])
    }
    await world.store.delete(ID_A)
    expect(await listed(world.store)).toEqual({ again: ID_B })
    expect(world.wrong()).toEqual({ violations: [], isAtWork: false })
  })

  test.for(Array.from({ length: 6 }, (_, i) => i + 1))(
    'killed before commit %i of six goes on when the store is opened',
    async (last) => {
      const world = await openShared()
      const keys = names(450)
      await world.given(keys, onX, ofAll)
      world.watched.before = (commit) => {
        if (commit >= last) throw new Error('killed')
      }
      vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
      await expect(world.store.delete(ID_A)).rejects.toThrow()
      expect(await world.store.stat(ID_A)).toEqual(last === 1 ? expect.anything() : null)
      expect(world.wrong()).toEqual({ violations: [], isAtWork: last > 1 })
      const { store } = await world.open()
      if (last === 1) await store.delete(ID_A)
      await expect.poll(() => world.wrong().isAtWork).toBe(false)
      expect(world.wrong().violations).toEqual([])
      expect(await listed(store)).toEqual({})
      expect((await world.queue.counts()).x?.waiting).toBe(keys.length)
    },
  )

  test('cut off in a process that is gone goes on in the one that syncs, when it hears of a commit', async () => {
    const world = await openShared()
    const [idle, syncing] = [await world.open(), await world.open()]
    vi.spyOn(syncing.syncer, 'active', 'get').mockReturnValue(true)
    await world.given(names(450), onX)
    world.watched.before = (commit) => {
      if (commit >= 3) throw new Error('killed')
    }
    vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    await expect(world.store.delete(ID_A)).rejects.toThrow()
    idle.ring()
    await idle.store.status()
    expect([world.wrong().isAtWork, idle.watched.commits, syncing.watched.commits]).toEqual([true, 0, 0])
    syncing.ring()
    await expect.poll(() => world.wrong()).toEqual({ violations: [], isAtWork: false })
    const events = (await collect(syncing.store.events())).filter(({ type }) => type === 'delete')
    expect(events.flatMap((event) => ('keys' in event ? event.keys : []))).toEqual(names(450))
  })

  test('aborted between two commits goes on in the background', async () => {
    const world = await openShared()
    await world.given(names(450), onX)
    const abort = new AbortController()
    world.watched.before = (commit) => {
      if (commit === 2) abort.abort()
    }
    await expect(world.store.delete(ID_A, { signal: abort.signal })).rejects.toMatchObject({ code: 'ABORTED' })
    await expect.poll(() => world.wrong()).toEqual({ violations: [], isAtWork: false })
  })

  test('tells beforehand what it would do', async () => {
    const world = await openShared()
    const keys = names(300)
    await world.given(keys, onX, ofAll)
    const told = await world.store.delete(ID_A, { dryRun: true })
    expect({ ...told, pending: told.pending.toSorted() }).toEqual({ deleted: keys, pending: ['s', 'x'] })
    expect([world.watched.commits, (await listed(world.store))[keys[0] as string]]).toEqual([0, ID_A])
  })

  test('leaves what a model of keys holds, whatever is put and deleted between its commits', async () => {
    const keys = names(230)
    const step = fc.record({
      commit: fc.integer({ min: 2, max: 5 }),
      kind: fc.constantFrom('put', 'put', 'putOther', 'deleteKey', 'deleteId'),
      key: fc.constantFrom(...[0, 90, 120, 199, 229].map((i) => keys[i] as string), 'new'),
      hand: fc.constantFrom(0, 1),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 8 }), async (steps) => {
        const world = await openShared()
        const hands = [world.store, (await world.open()).store] as const
        await world.given(keys, onBoth, ofAll)
        const model = new Map<string, BlobId>()
        world.watched.before = async (commit) => {
          for (const { kind, key, hand } of steps.filter((one) => one.commit === commit)) {
            const store = hands[hand] as StoreD<string>
            if (kind === 'put' || kind === 'putOther') {
              const bytes = kind === 'put' ? A : B
              await store.put(bytes, { key })
              model.set(key, bytes === A ? ID_A : ID_B)
            } else if (kind === 'deleteKey') {
              expect((await store.delete(key)).deleted).toEqual(model.delete(key) ? [key] : [])
            } else {
              const gone = [...model].filter(([, id]) => id === ID_A).map(([bound]) => bound)
              expect((await store.delete(ID_A)).deleted).toEqual(gone.toSorted())
              for (const bound of gone) model.delete(bound)
            }
            expect(await listed(store)).toEqual(Object.fromEntries(model))
            expect(world.wrong().violations).toEqual([])
          }
        }
        await world.store.delete(ID_A)
        world.watched.before = () => {}
        expect(await listed(world.store)).toEqual(Object.fromEntries(model))
        expect(world.wrong()).toEqual({ violations: [], isAtWork: false })
      }),
      { numRuns: 25 },
    )
  })
})

describe('of a blob under many keys', () => {
  const keys = names(10_000)

  test('stat(id) shows what all keys share and 100 others, and copies(id) all', async () => {
    const world = await openShared()
    await world.given(keys, onX, ofAll)
    const record = await world.store.stat(ID_A)
    expect(record).toMatchObject({ more: true })
    expect(record?.locations).toHaveLength(101)
    expect(record?.locations.filter(({ shared }) => shared)).toHaveLength(1)
    const all = await collect(world.store.copies(ID_A))
    expect(new Set(all.map(({ backend, key }) => `${backend}/${key}`)).size).toBe(10_001)
    expect(await collect(world.store.copies(keys[5] as string))).toHaveLength(2)
    expect(world.watched.most).toBeLessThan(MOST_ROWS)
  })

  test('copies of all keys are dropped, in pages, and never the last of one', async () => {
    const world = await openShared()
    await world.given(names(1200), onBoth, ofAll)
    expect(await world.store.delete(ID_A, { backends: ['s'] })).toEqual({ deleted: [], pending: ['s'] })
    expect(await world.store.delete(ID_A, { backends: ['x'] })).toEqual({ deleted: [], pending: ['x'] })
    expect((await world.queue.counts()).x?.waiting).toBe(1200)
    await expect(world.store.delete(ID_A, { backends: ['y'] })).rejects.toMatchObject({ code: 'PRECONDITION_FAILED' })
    expect(world.watched.most).toBeLessThan(MOST_ROWS)
  })

  test('what all keys share is neither dropped nor forgotten while a single key has nothing else', async () => {
    const world = await openShared()
    await world.given(keys, (key) => (key === keys.at(-1) ? [] : onX(key)), ofAll)
    const refused = { code: 'PRECONDITION_FAILED', message: expect.stringContaining(keys.at(-1) as string) }
    await expect(world.store.delete(ID_A, { backends: ['s'] })).rejects.toMatchObject(refused)
    expect(await world.store.delete(keys[0] as string, { backends: ['s'] })).toEqual({ deleted: [], pending: [] })
    await expect(world.store.forget({ backend: 's', key: SHARED })).rejects.toMatchObject(refused)
    expect(world.watched.most).toBeLessThan(MOST_ROWS)
  })

  test('a key that comes to rely on what all share, once the keys were looked at, keeps it', async () => {
    const world = await openShared()
    const other = await world.open()
    await world.given(names(300), onX, ofAll)
    world.watched.before = async (commit) => {
      if (commit === 2) await other.store.put(A, { key: 'late', backends: ['s'] })
    }
    await expect(world.store.forget({ backend: 's', key: SHARED })).rejects.toMatchObject({
      code: 'PRECONDITION_FAILED',
      message: expect.stringContaining('late'),
    })
  })

  describe('a key whose own copy is not to be relied on any more, once the keys were looked at, keeps what all share', () => {
    test.for<[string, (world: Awaited<ReturnType<typeof openShared>>) => Promise<unknown>]>([
      ['it is found bad', async ({ open }) => collect((await open()).store.verify({ backend: 'x' }))],
      [
        'its backend is being removed',
        ({ index, shared }) => shared.transact((tx) => index.setLeaving(tx, 'x', { token: 't', until: tx.now + 1e6 })),
      ],
    ])('%s', async ([_, happens]) => {
      const world = await openShared()
      await world.given(names(300), (key) => (key === keys[0] ? onBoth(key) : onX(key)), ofAll)
      world.watched.before = async (commit) => {
        if (commit === 2) await happens(world)
      }
      await expect(world.store.forget({ backend: 's', key: SHARED })).rejects.toMatchObject({
        code: 'PRECONDITION_FAILED',
        message: expect.stringContaining(keys[1] as string),
      })
    })
  })

  test('staged bytes are released early once each place that owes them has a copy, and only then', async () => {
    const world = await openShared()
    const { staging, index, watched } = world
    const verified = Date.now()
    const owing = (key: string) => at(ID_A, 'y', key, 'pending')
    const whole = (key: string) => at(ID_A, 'x', key, 'synced', { holds: HOLDS, verified })
    const bare = keys.at(-1) as string
    await world.given(keys, (key) => (key === bare ? [owing(key)] : [owing(key), whole(key)]))
    const stage = async () => {
      const signal = new AbortController().signal
      await using staged = await staging.receive(one(A), { signal, whenFull: 'wait' })
      await world.shared.transact((tx) => {
        staging.keep(tx, ID_A, staged)
        staging.markReleasable(tx, ID_A)
      })
    }
    vi.spyOn(staging, 'isAboveHighWater').mockReturnValue(true)
    vi.spyOn(staging, 'usage').mockReturnValue({ bytes: 9, count: 1, limit: 9, excess: 9 })
    const release = () => releaseVerified({ index, staging, ledger: watched.ledger }, () => true, verified)
    await stage()
    expect(await release()).toEqual({ blobs: 0, bytes: 0 })
    await world.shared.transact((tx) => {
      index.locate(tx, whole(bare))
      staging.markReleasable(tx, ID_A)
    })
    expect(await release()).toEqual({ blobs: 1, bytes: 1 })
    expect(world.watched.most).toBeLessThan(MOST_ROWS)
  })
})

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}
