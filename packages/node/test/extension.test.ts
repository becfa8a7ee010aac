import { spawn } from 'node:child_process'
import path from 'node:path'
import { createInterface } from 'node:readline'
import type { Extension, LedgerTable, StoreD, StoreEvent, Transaction } from '@stored/core'
import { describe, expect, test } from 'vitest'
import { openWorld } from './plans/world.ts'
import { collect, idOf, openAt, temp } from './temp.ts'

const CHILD = path.join(import.meta.dirname, 'unique.child.ts')
const A = Buffer.from('a')

interface Named {
  readonly id: string
}

/** What a package above the store is: names of its own, each for one blob. */
class Names {
  readonly #extension: Extension
  readonly #table: LedgerTable<Named>

  constructor(store: StoreD) {
    this.#extension = store.extension('names')
    this.#table = this.#extension.table('names')
  }

  take(name: string, id: string): (tx: Transaction) => void {
    return (tx) => {
      if (this.#table.get(tx, name)) throw new Taken(name)
      this.#table.put(tx, name, { id })
      this.#extension.record(tx, 'taken', { name, id })
    }
  }

  all(): Promise<readonly (readonly [string, Named])[]> {
    return this.#extension.look((view) => this.#table.rows(view))
  }
}

class Taken extends Error {}

/** Every call that takes `also`, over a store with the key `k`. */
const CALLS: Readonly<Record<string, (store: StoreD, also: (tx: Transaction) => void) => Promise<unknown>>> = {
  put: (store, also) => store.put(Buffer.from('new'), { key: 'new', also }),
  commit: async (store, also) => {
    await using received = await store.receive(Buffer.from('new'))
    return await store.commit(received, { key: 'new', also })
  },
  link: (store, also) => store.link('other', idOf(A), { also }),
  delete: (store, also) => store.delete('k', { also }),
  'delete of an id': (store, also) => store.delete(idOf(A), { also }),
  'delete of a copy': (store, also) => store.delete('k', { backends: ['x'], also }),
}

describe.each(Object.entries(CALLS))('%s() with also', (_, call) => {
  async function openWithKey() {
    const world = await openWorld()
    await world.store.put(A, { key: 'k' })
    const names = new Names(world.store)
    /** All that is in the store. */
    const state = async () => ({
      rows: await names.all(),
      list: await collect(world.store.list()),
      jobs: await world.jobs(),
      events: (await world.events()).length,
    })
    return { ...world, names, state }
  }

  test('commits the caller’s rows and events with its own', async () => {
    await using world = await openWithKey()
    const before = await world.state()
    const heard: StoreEvent[] = []
    world.store.on('names.taken', (event) => heard.push(event))
    await call(world.store, world.names.take('n', 'id'))
    const after = await world.state()
    expect(after.rows).toEqual([['n', { id: 'id' }]])
    expect(after.jobs).not.toEqual(before.jobs)
    const last = (await world.events()).at(-1)
    expect(last).toMatchObject({ type: 'names.taken', data: { name: 'n', id: 'id' } })
    expect(heard).toEqual([last])
  })

  test('that throws changes nothing, and rejects with exactly that', async () => {
    await using world = await openWithKey()
    const before = await world.state()
    for (const thrown of [new Taken('n'), 'a text', null]) {
      const calling = call(world.store, (tx) => {
        world.names.take('n', 'id')(tx)
        throw thrown
      })
      const error = await calling.then(
        () => 'resolved',
        (reason) => reason,
      )
      expect(error).toBe(thrown)
    }
    expect(await world.state()).toEqual(before)
  })

  test.each<[string, (world: Awaited<ReturnType<typeof openWithKey>>) => (tx: Transaction) => unknown, string]>([
    ['returns a promise', () => async () => {}, 'INVALID_ARGUMENT'],
    [
      'calls the store',
      ({ store }) =>
        () =>
          store.put(A),
      'INVALID_ARGUMENT',
    ],
    [
      'calls the store behind its own back',
      ({ store }) =>
        () =>
          void store.listBackends().catch(() => {}),
      'INVALID_ARGUMENT',
    ],
    ['reads the clock', () => () => void Date.now(), 'INTERNAL'],
    ['keeps something between two runs', counting, 'INTERNAL'],
  ])('that %s changes nothing, and rejects', async (__, make, code) => {
    await using world = await openWithKey()
    const before = await world.state()
    await expect(call(world.store, make(world) as never)).rejects.toMatchObject({ code })
    expect(await world.state()).toEqual(before)
  })

  function counting({ names }: { readonly names: Names }) {
    let runs = 0
    return (tx: Transaction) => names.take(`n-${runs++}`, 'id')(tx)
  }
})

describe('delete() with also', () => {
  test('of an unknown key commits what the caller adds', async () => {
    await using world = await openWorld()
    const names = new Names(world.store)
    expect(await world.store.delete('none', { also: names.take('n', 'id') })).toEqual({ deleted: [], pending: [] })
    expect(await names.all()).toHaveLength(1)
  })

  test('as a dryRun is INVALID_ARGUMENT', async () => {
    await using world = await openWorld()
    const dry = world.store.delete('k', { dryRun: true, also: () => {} })
    await expect(dry).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })
})

describe('an extension', () => {
  test('commits rows and events without a call of the store', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { sync: false })
    const tenants = store.extension('tenants')
    const table = tenants.table<number>('quota')
    const heard: StoreEvent[] = []
    store.on('tenants.made', (event) => heard.push(event))
    const { value, position } = await tenants.transact((tx) => {
      const next = (table.get(tx, 't') ?? 0) + 1
      table.put(tx, 't', next)
      tenants.record(tx, 'made', { next })
      return next
    })
    expect(value).toBe(1)
    expect(heard).toMatchObject([{ type: 'tenants.made', position, data: { next: 1 } }])
    expect(await collect(store.events())).toEqual(heard)
  })

  test('has rows of its own, in order, by pages, that outlive the process', async () => {
    await using dir = await temp()
    {
      await using store = await openAt(dir.path, { sync: false })
      const one = store.extension('one')
      const two = store.extension('two')
      await one.transact((tx) => {
        for (const key of ['b', 'a/2', 'ä', 'a/1']) one.table('t').put(tx, key, key)
        one.table('u').put(tx, 'a/1', 'u')
      })
      await two.transact((tx) => two.table('t').put(tx, 'a/1', 'two'))
      await one.transact((tx) => one.table('u').remove(tx, 'a/1'))
    }
    await using store = await openAt(dir.path, { sync: false })
    const one = store.extension('one')
    const rows = (o: object) =>
      one.look((view) =>
        one
          .table('t')
          .rows(view, o)
          .map(([key]) => key),
      )
    expect(await rows({})).toEqual(['a/1', 'a/2', 'b', 'ä'])
    expect(await rows({ limit: 2 })).toEqual(['a/1', 'a/2'])
    expect(await rows({ after: 'a/2' })).toEqual(['b', 'ä'])
    expect(await rows({ prefix: 'a/' })).toEqual(['a/1', 'a/2'])
    expect(await rows({ prefix: 'a/', after: 'a/1', limit: 5 })).toEqual(['a/2'])
    expect(await one.look((view) => one.table('u').get(view, 'a/1'))).toBeNull()
  })

  test.each(['', 'A', 'a.b', 'a b', 'x'.repeat(65), 7])('named %j is INVALID_ARGUMENT', async (name) => {
    await using world = await openWorld()
    expect(() => world.store.extension(name as string)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
  })

  test('that nobody named has no events to listen for', async () => {
    await using world = await openWorld()
    const listen = () => world.store.on('names.taken', () => {})
    expect(listen).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
    world.store.extension('names')
    expect(listen).not.toThrow()
  })

  test.each([[{ at: new Date() }], [{ n: Number.NaN }], [[]]])('records no %j', async (data) => {
    await using world = await openWorld()
    const names = world.store.extension('names')
    const recording = names.transact((tx) => names.record(tx, 'taken', data as never))
    await expect(recording).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })
})

test('of two processes that put with the same unique row one wins, each time', { timeout: 60_000 }, async () => {
  await using dir = await temp()
  const begin = (who: string) => {
    const running = spawn(process.execPath, [CHILD, dir.path, who], { stdio: ['pipe', 'pipe', 'inherit'] })
    return { running, lines: createInterface({ input: running.stdout })[Symbol.asyncIterator]() }
  }
  const both = ['x', 'y'].map(begin)
  for (const { lines } of both) expect((await lines.next()).value).toBe('ready')
  for (const { running } of both) running.stdin.end('go')
  const [x, y] = await Promise.all(
    both.map(async ({ lines }) => JSON.parse(String((await lines.next()).value)) as string[]),
  )
  for (const { lines } of both) await lines.next()
  const all = Array.from({ length: 100 }, (_, i) => `name-${i}`)
  expect([...(x ?? []), ...(y ?? [])].sort()).toEqual(all.sort())
  await using store = await openAt(dir.path, { sync: false })
  const names = store.extension('names')
  const table = names.table<{ who: string }>('names')
  const owners = Object.fromEntries(await names.look((view) => table.rows(view)))
  for (const name of x ?? []) expect(owners[name]).toEqual({ who: 'x' })
  // No blob of who lost is there.
  const keys = (await collect(store.list())).map(({ key }) => key)
  const won = [...(x ?? []).map((name) => `x/${name}`), ...(y ?? []).map((name) => `y/${name}`)]
  expect(keys.sort()).toEqual(won.sort())
})
