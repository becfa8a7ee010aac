import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import path from 'node:path'
import { gunzipSync } from 'node:zlib'
import { MemoryBackend, type MemoryBlob, MemoryPlace, type PutOptions, type Stat } from '@stored/core/backend'
import { LmdbLedger } from '@stored/lmdb'
import { openStore, upgradeStore } from '@stored/node'
import { dumpOf, filesIn } from '@stored/testing/rows/dump'
import { checkLog } from '@stored/testing/rows/replay'
import { checkRows } from '@stored/testing/rows/row-check'
import type { Dump } from '@stored/testing/rows/rows'
import { describe, expect, test, vi } from 'vitest'
import { collect, idOf, temp } from '../temp.ts'
import type { Fixture } from './fixture.ts'

const NAMES = ['a', 'b', 'c'] as const
type Name = (typeof NAMES)[number]

/** Of the whole life of the store that was left: what its keys are bound to. */
const BOUND: Readonly<Record<string, Buffer>> = {
  'docs/a.txt': Buffer.from('alpha'),
  'docs/ä ö.txt': Buffer.from('alpha'),
  big: Buffer.alloc(100_000, 'a big blob '),
  empty: Buffer.alloc(0),
  missing: Buffer.from('what missing held at first'),
  damaged: Buffer.from('what damaged held at first'),
  changed: Buffer.from('what changed held at first'),
  rebound: Buffer.from('what it holds by now'),
  refused: Buffer.from('c has no room for refused'),
  taken: Buffer.from('c has no room for taken'),
  owed: Buffer.from('owed to b'),
  'owed too': Buffer.from('owed to b'),
  'owed big': Buffer.alloc(80_000, 'big, and owed to b '),
  unreachable: Buffer.from('c cannot be reached for it'),
  running: Buffer.from('on its way when the process died'),
}

/** That version kept what all keys of a blob share when the last of them was bound to another one, and the facts with it. */
const KEPT = expect.stringContaining(`no key is bound to ${idOf('what rebound held at first')}`)

async function fixtureOf(version: 'first' | 'last'): Promise<Fixture> {
  return JSON.parse(gunzipSync(await readFile(path.join(import.meta.dirname, `${version}.json.gz`))).toString())
}

const FIRST = await fixtureOf('first')
const LAST = await fixtureOf('last')
const { list, jobs, events } = FIRST

/** A store as a process of the first version of format 2 left it, and its backends. */
async function left(directory: string, { fixture = FIRST, isUpgraded = true } = {}) {
  const at = path.join(directory, 'store')
  await mkdir(path.join(at, 'staging'), { recursive: true })
  for (const [name, bytes] of Object.entries(fixture.files))
    await writeFile(path.join(at, name), Buffer.from(bytes, 'base64'))
  if (isUpgraded) await upgradeStore({ path: at })
  const places = { a: placeOf('a', fixture), b: placeOf('b', fixture), c: placeOf('c', fixture) }
  const open = (sync: boolean, c: MemoryBackend = new MemoryBackend({ place: places.c })) =>
    openStore({
      ...{ path: at, sync },
      backends: {
        a: { backend: new MemoryBackend({ place: places.a }) },
        b: { backend: new MemoryBackend({ place: places.b }), layout: 'id' },
        c: { backend: c },
      },
    })
  return { at, places, open }
}

/** What a key shows: that version showed the copies of the blob's other keys and all checksums of the blob, too. */
function ownOf({ checksums: _, ...entry }: Fixture['list'][number] & { checksums?: unknown }) {
  return { ...entry, locations: entry.locations.filter(({ key, shared }) => shared || key === entry.key) }
}

function placeOf(name: Name, { objects, events }: Fixture): MemoryPlace {
  const place = new MemoryPlace()
  for (const { stat, bytes } of objects[name]) {
    place.blobs.set(stat.key, { stat, bytes: Buffer.from(bytes, 'base64') } satisfies MemoryBlob)
    // No new etag is one of those that were given.
    place.nextEtag()
  }
  for (const _ of events) place.nextEtag()
  return place
}

function givenBack(job: Fixture['jobs'][number]): Fixture['jobs'][number] & { readonly begun?: boolean } {
  return job.state === 'running' ? { ...job, state: 'waiting', begun: true } : job
}

function byPlace<One extends { readonly backend: string; readonly key: string }>(jobs: readonly One[]): One[] {
  const nameOf = ({ backend, key }: One) => `${backend} ${key}`
  return jobs.toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1))
}

async function rowsOf(at: string): Promise<Dump> {
  const ledger = await LmdbLedger.open({ path: at, reserve: 0 })
  const dump = dumpOf(ledger)
  await ledger.close()
  return dump
}

describe('a store that the first version of format 2 left, its process killed at work, once it is upgraded', () => {
  test('has rows that fit each other, of every kind', async () => {
    await using dir = await temp()
    const { at } = await left(dir.path)
    const dump = await rowsOf(at)
    const { rows, violations } = checkRows(dump, await filesIn(path.join(at, 'staging'), true))
    expect([...violations, ...checkLog(rows)]).toEqual([KEPT])
    expect(Object.entries(dump).flatMap(([tree, found]) => (found.length === 0 ? tree : []))).toEqual(['running'])
    const states = new Set([...rows.locations.values()].map(({ state }) => state))
    expect([...states].sort()).toEqual([
      'conflict',
      'corrupt',
      'deleting',
      'failed',
      'missing',
      'pending',
      'synced',
      'unknown',
    ])
    const kept = [...rows.staged.values()]
    expect([kept.some((row) => 'file' in row), kept.some((row) => 'pack' in row), rows.marks.size > 0]).toEqual([
      true,
      true,
      true,
    ])
  })

  test('is refused until it is upgraded, and left as it is', async () => {
    await using dir = await temp()
    const { at, open } = await left(dir.path, { isUpgraded: false })
    const before = await readFile(path.join(at, 'index.mdb'))
    await expect(open(false)).rejects.toMatchObject({
      code: 'INCOMPATIBLE',
      message: expect.stringContaining('stored upgrade'),
    })
    expect((await readFile(path.join(at, 'index.mdb'))).equals(before)).toBe(true)
  })

  test('says of everything what it said, and has given back what ran', async () => {
    await using dir = await temp()
    const { open } = await left(dir.path)
    await using store = await open(false)
    expect(await collect(store.list({ missing: true }))).toMatchObject(list.map(ownOf))
    expect(byPlace(await collect(store.jobs()))).toMatchObject(byPlace(jobs.map(givenBack)))
    expect(await collect(store.events())).toMatchObject(events)
    expect((await store.getBackend('b')).state).toBe('paused')
  })

  test('delivers all that it holds', async () => {
    await using dir = await temp()
    const { open } = await left(dir.path)
    await using store = await open(false)
    expect((await collect(store.list())).map(({ key }) => key).sort()).toEqual(Object.keys(BOUND).sort())
    for (const [key, bytes] of Object.entries(BOUND)) {
      expect((await store.get(key)).equals(bytes), key).toBe(true)
      expect((await store.stat(key))?.id).toBe(idOf(bytes))
    }
    expect(await store.stat('gone')).toBeNull()
  })

  test('goes on with what it owed, is mended, and has every copy in the end', async () => {
    await using dir = await temp()
    const { at, places, open } = await left(dir.path)
    places.c.blobs.delete('taken')
    {
      await using store = await open(true)
      for (const name of NAMES) await store.resume(name)
      expect(await store.retry()).toBe(2)
      for (const key of ['missing', 'damaged', 'changed'])
        expect((await store.repair(key)).copies.map(({ outcome, error }) => error ?? outcome)).toEqual(['owed'])
      await store.synced()
      for (const [key, bytes] of Object.entries(BOUND)) expect((await store.get(key)).equals(bytes), key).toBe(true)
      const { staging, backends } = await store.status()
      expect(staging).toMatchObject({ bytes: 0, count: 0 })
      expect(backends.map(({ bad, jobs }) => ({ bad, ...jobs }))).toEqual(
        NAMES.map(() => ({ bad: {}, waiting: 0, running: 0, parked: 0, bytes: 0 })),
      )
    }
    const { rows, violations } = checkRows(await rowsOf(at), await filesIn(path.join(at, 'staging'), true))
    expect([...violations, ...checkLog(rows)]).toEqual([KEPT])
    expect([...rows.locations.values()].filter(({ state }) => state !== 'synced')).toEqual([])
    for (const [key, bytes] of Object.entries(BOUND))
      for (const { backend, key: at } of list.find((entry) => entry.key === key)?.locations ?? [])
        expect(bytes.equals(places[backend].blobs.get(at)?.bytes as Buffer), `${backend}/${at}`).toBe(true)
    expect([...places.b.blobs.keys()].length).toBe(
      new Set([...rows.locations.keys()].filter((place) => place.startsWith('b\0'))).size,
    )
  })

  test('doubts the copies of a backend that is removed and added again, until they are verified', async () => {
    await using dir = await temp()
    const { at, open } = await left(dir.path)
    const statesOn = async (backend: Name) => {
      const { rows, violations } = checkRows(await rowsOf(at))
      expect(violations).toEqual([KEPT])
      return [...rows.locations].filter(([place]) => place.startsWith(`${backend}\0`)).map(([, { state }]) => state)
    }
    const before = await statesOn('a')
    expect(before).toContain('synced')
    {
      await using store = await open(false)
      await store.removeBackend('a', { force: true })
    }
    const doubted = before.map((state) => (state === 'synced' ? 'unknown' : state))
    expect(await statesOn('a')).toEqual(doubted)
    {
      await using store = await open(false)
      const unknown = doubted.filter((state) => state === 'unknown').length
      expect((await store.getBackend('a')).bad).toMatchObject({ unknown })
      await collect(store.verify({ backend: 'a' }))
    }
    const verified = await statesOn('a')
    expect(before.flatMap((state, i) => (state === 'synced' ? verified[i] : []))).not.toContain('unknown')
  })

  test('takes new work beside the old', async () => {
    await using dir = await temp()
    const { open, places } = await left(dir.path)
    places.c.blobs.delete('taken')
    await using store = await open(true)
    await store.put(Buffer.from('new'), { key: 'running' })
    await store.delete('owed big')
    await store.put(BOUND.big as Buffer, { key: 'missing' })
    for (const name of NAMES) await store.resume(name)
    await store.retry()
    await store.synced()
    expect(await store.get('running', { backend: 'c' })).toEqual(Buffer.from('new'))
    expect(await store.get('missing', { backend: 'a' })).toEqual(BOUND.big)
    expect(places.a.blobs.has('owed big')).toBe(false)
  })
})

describe('a store that the last version of format 2 left, its process killed at work, once it is upgraded', () => {
  const BOUND_LAST: Readonly<Record<string, Buffer>> = {
    ...BOUND,
    doubted: Buffer.from('a copy on d'),
    ...Object.fromEntries(Array.from({ length: 120 }, (_, i) => [`many/${i}`, Buffer.from('one blob of many keys')])),
  }

  test('has rows that fit each other, and has its former index beside the new one', async () => {
    await using dir = await temp()
    const { at } = await left(dir.path, { fixture: LAST })
    const { rows, violations } = checkRows(await rowsOf(at), await filesIn(path.join(at, 'staging'), true))
    expect([...violations, ...checkLog(rows)]).toEqual([])
    const former = Buffer.from(LAST.files['index.mdb'] as string, 'base64')
    expect((await readFile(path.join(at, 'index.v2.bak'))).equals(former)).toBe(true)
    expect((await readdir(at)).filter((name) => name.startsWith('index.new'))).toEqual([])
  })

  test('says of everything what it said, and has given back what ran', async () => {
    await using dir = await temp()
    const { open } = await left(dir.path, { fixture: LAST })
    await using store = await open(false)
    expect(await collect(store.list({ missing: true }))).toMatchObject(LAST.list.map(ownOf))
    const found = (await collect(store.jobs())).filter(({ id }) => id !== idOf('one blob of doomed keys'))
    expect(byPlace(found)).toMatchObject(byPlace(LAST.jobs.map(givenBack)))
    expect((await store.getBackend('b')).state).toBe('paused')
  })

  test('has its log: a number from before goes on where it was', async () => {
    await using dir = await temp()
    const { open } = await left(dir.path, { fixture: LAST })
    await using store = await open(false)
    const said = LAST.events as readonly { readonly seq: number }[]
    expect((await collect(store.events())).slice(0, said.length)).toMatchObject(said)
    const since = said[400]?.seq as number
    expect((await collect(store.events({ since }))).slice(0, said.length - 401)).toMatchObject(said.slice(401))
  })

  test('delivers all that it holds, and goes on with what it owed', async () => {
    await using dir = await temp()
    const { at, places, open } = await left(dir.path, { fixture: LAST })
    const given: (string | undefined)[] = []
    class NotingBackend extends MemoryBackend {
      override put(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat> {
        if (key === 'running') given.push(options.checkpoint)
        return super.put(key, body, options)
      }
    }
    places.c.blobs.delete('taken')
    {
      await using store = await open(true, new NotingBackend({ place: places.c }))
      for (const [key, bytes] of Object.entries(BOUND_LAST))
        expect((await store.get(key)).equals(bytes), key).toBe(true)
      for (const name of NAMES) await store.resume(name)
      expect(await store.retry()).toBe(2)
      await store.synced()
      await vi.waitFor(async () => expect((await collect(store.jobs({ backend: 'a' }))).length).toBe(0), 10_000)
      expect((await collect(store.list())).map(({ key }) => key).sort()).toEqual(Object.keys(BOUND_LAST).sort())
    }
    expect(given).toEqual(['all of it'])
    expect([...places.a.blobs.keys()].filter((key) => key.startsWith('doomed/'))).toEqual([])
    const { rows, violations } = checkRows(await rowsOf(at), await filesIn(path.join(at, 'staging'), true))
    expect([...violations, ...checkLog(rows), ...rows.deletions]).toEqual([])
  })
})

test('a tree that nobody knows ends an upgrade: left out, its rows would be lost without a word', async () => {
  await using dir = await temp()
  const { at } = await left(dir.path, { isUpgraded: false })
  // Not one of this package's own.
  const { open } = createRequire(import.meta.resolve('@stored/lmdb'))('lmdb')
  const root = open({ path: path.join(at, 'index.mdb'), keyEncoding: 'binary', encoding: 'binary', maxDbs: 64 })
  await root.openDB({ name: 'of another package' }).put('key', 'row')
  await root.close()
  await expect(upgradeStore({ path: at })).rejects.toMatchObject({ code: 'CORRUPT' })
  expect(await readdir(at)).not.toContain('index.v2.bak')
})
