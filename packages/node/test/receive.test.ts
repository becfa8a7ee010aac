import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { StorageError } from '@stored/core/backend'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { openWorld } from './plans/world.ts'
import { collect, idOf, openAt, temp } from './temp.ts'

const CHILD = path.join(import.meta.dirname, 'received.child.ts')
const SMALL = Buffer.from('small')
const LARGE = Buffer.alloc(300_000, 'large ')
const HOUR_MS = 60 * 60 * 1000

afterEach(() => void vi.useRealTimers())

/** Names of staged files. */
async function staged(directory: string): Promise<string[]> {
  const names = await readdir(path.join(directory, 'store', 'staging'))
  return names.filter((name) => name !== '.stored-id')
}

describe('receive()', () => {
  test.each([
    ['small', SMALL],
    ['large', LARGE],
  ])('tells of %s bytes what commit() makes a blob of', async (_, bytes) => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { sync: false })
    await using received = await store.receive(bytes, { checksums: ['md5'] })
    expect(received).toMatchObject({ id: idOf(bytes), size: bytes.length })
    expect(received.digests.md5).toHaveLength(32)
    expect(Buffer.from(received.head)).toEqual(bytes.subarray(0, 4100))
    expect(await store.has(received.id)).toBe(false)
    const result = await store.commit(received, { key: 'k.txt', metadata: { n: 1 } })
    expect(result).toMatchObject({
      key: 'k.txt',
      id: received.id,
      isNew: true,
      mimeType: 'text/plain',
      custom: { n: 1 },
    })
    expect(result.checksums).toEqual(received.digests)
    expect(await store.get('k.txt')).toEqual(bytes)
  })

  test('and commit() leave in the store what put() leaves', async () => {
    const left = async (put: (store: Awaited<ReturnType<typeof openAt>>) => Promise<unknown>) => {
      await using dir = await temp()
      await using store = await openAt(dir.path, { sync: false })
      await put(store)
      const events = (await collect(store.events())).map(({ time: _, ...event }) => event)
      const { created: _, modified: __, ...record } = (await store.stat('k')) as { created: number; modified: number }
      return { events, record, jobs: (await collect(store.jobs())).length, staged: (await staged(dir.path)).length }
    }
    const options = { key: 'k', mimeType: 'text/x', metadata: { a: 1 } }
    const byPut = await left((store) => store.put(LARGE, options))
    const inTwo = await left(async (store) => store.commit(await store.receive(LARGE), options))
    expect(inTwo).toEqual(byPut)
  })

  test('keeps what it read of a buffer that is filled again before the commit', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { sync: false })
    for (const bytes of [Buffer.alloc(100, 'a'), Buffer.alloc(200_000, 'b')]) {
      const given = Buffer.from(bytes)
      await using received = await store.receive(given)
      given.fill('z')
      await store.commit(received, { key: 'k' })
      expect(await store.get('k')).toEqual(bytes)
    }
  })

  test('of what is not expected keeps nothing', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { sync: false })
    await expect(store.receive(LARGE, { expect: { size: 7 } })).rejects.toMatchObject({ code: 'SIZE_MISMATCH' })
    const wrong = { checksum: idOf('other') }
    await expect(store.receive(LARGE, { expect: wrong })).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH' })
    expect(await staged(dir.path)).toEqual([])
    expect((await store.status()).staging).toMatchObject({ bytes: 0 })
  })

  test('that must not wait while staging is full rejects with STAGING_FULL, where others wait', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { staging: { limit: 400_000, whenFull: 'wait' } })
    await using _ = await store.receive(LARGE)
    const refused = { whenFull: 'refuse' } as const
    await expect(store.receive(LARGE, refused)).rejects.toMatchObject({ code: 'STAGING_FULL' })
    await expect(store.put(LARGE, { key: 'k', ...refused })).rejects.toMatchObject({ code: 'STAGING_FULL' })
    const abort = new AbortController()
    const waiting = store.put(LARGE, { key: 'k', signal: abort.signal })
    const settled = vi.fn()
    waiting.then(settled, settled)
    await store.status()
    expect(settled).not.toHaveBeenCalled()
    abort.abort()
    await expect(waiting).rejects.toMatchObject({ code: 'ABORTED' })
  })
})

describe('received bytes', () => {
  test('are discarded when they are let go', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { sync: false })
    {
      await using _ = await store.receive(LARGE)
      expect(await staged(dir.path)).toHaveLength(1)
      expect((await store.status()).staging).toMatchObject({ bytes: LARGE.length, count: 0 })
    }
    expect(await staged(dir.path)).toEqual([])
    expect((await store.status()).staging).toMatchObject({ bytes: 0 })
  })

  test('are discarded when the store closes', async () => {
    await using dir = await temp()
    const store = await openAt(dir.path, { sync: false })
    const received = await store.receive(LARGE)
    await store.close()
    expect(await staged(dir.path)).toEqual([])
    await received[Symbol.asyncDispose]()
    await expect(store.commit(received)).rejects.toMatchObject({ code: 'CLOSED' })
  })

  test.each([
    ['small', SMALL],
    ['large', LARGE],
  ])('of %s size are committed once', async (_, bytes) => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { sync: false })
    await using received = await store.receive(bytes)
    const both = [store.commit(received, { key: 'a' }), store.commit(received, { key: 'b' })]
    const [first, second] = await Promise.allSettled(both)
    expect(first?.status).toBe('fulfilled')
    expect(second).toMatchObject({ reason: { code: 'CONFLICT' } })
    await expect(store.commit(received, { key: 'b' })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    expect((await collect(store.list())).map(({ key }) => key)).toEqual(['a'])
  })

  test('can be committed after a rejection', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { sync: false })
    await store.put(SMALL, { key: 'taken' })
    await using received = await store.receive(LARGE)
    const taken = store.commit(received, { key: 'taken', ifAbsent: true })
    await expect(taken).rejects.toMatchObject({ code: 'ALREADY_EXISTS', at: { op: 'commit', key: 'taken' } })
    await expect(store.commit(received, { key: '' })).rejects.toMatchObject({ code: 'INVALID_KEY' })
    await store.commit(received, { key: 'free' })
    expect(await store.get('free')).toEqual(LARGE)
  })

  test('of another store, or what is none, are INVALID_ARGUMENT', async () => {
    await using one = await temp()
    await using two = await temp()
    await using store = await openAt(one.path, { sync: false })
    await using other = await openAt(two.path, { sync: false })
    await using received = await other.receive(SMALL)
    for (const wrong of [received, null, { ...received }, 'x'])
      await expect(store.commit(wrong as never)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })

  test('whose process stopped for a day reject with CONFLICT, and are never committed', async () => {
    await using world = await openWorld()
    const { store, isKnown } = world
    await using received = await store.receive(LARGE)
    vi.useFakeTimers({ toFake: ['Date'] })
    vi.setSystemTime(Date.now() + 25 * HOUR_MS)
    await expect(store.commit(received, { key: 'k' })).rejects.toMatchObject({ code: 'CONFLICT' })
    expect(await isKnown(received.id)).toBe(false)
  })

  test('of which nobody knows whether they were committed are left to the rows', async () => {
    await using world = await openWorld()
    const { store, ledger } = world
    await using received = await store.receive(LARGE)
    const lost = new StorageError('UNAVAILABLE', { op: 'commit' }, { ambiguous: true })
    const { transact } = ledger
    ledger.transact = async (plan) => {
      await transact.call(ledger, plan)
      throw lost
    }
    await expect(store.commit(received, { key: 'k' })).rejects.toBe(lost)
    ledger.transact = transact
    const again = store.commit(received, { key: 'k' })
    await expect(again).rejects.toMatchObject({ code: 'CONFLICT', retryable: false })
    await received[Symbol.asyncDispose]()
    expect(await store.get('k')).toEqual(LARGE)
  })

  test('of a process that is killed between receive() and commit() leak nothing, and lose nothing that was acknowledged', async () => {
    await using dir = await temp()
    const running = spawn(process.execPath, [CHILD, dir.path, 'x'], { stdio: ['ignore', 'pipe', 'inherit'] })
    const acknowledged: string[] = []
    for await (const line of createInterface({ input: running.stdout })) {
      acknowledged.push(line)
      if (acknowledged.length === 25) running.kill('SIGKILL')
    }
    if (running.exitCode === null && running.signalCode === null) await once(running, 'exit')
    await using store = await openAt(dir.path, { sync: false })
    const keys = (await collect(store.list())).map(({ key }) => key)
    expect(keys).toEqual(expect.arrayContaining(acknowledged))
    for (const key of keys) expect((await store.get(key)).toString().startsWith(key)).toBe(true)
    // What it held is removed in the background. Each odd one is a file.
    const files = keys.filter((key) => Number(key.split('-')[1]) % 2 === 1).length
    await expect.poll(async () => (await staged(dir.path)).length).toBe(files)
    // A row that its caller adds, and the blob, are there both or neither.
    const names = store.extension('names')
    const table = names.table<{ id: string }>('names')
    const rows = await names.look((view) => table.rows(view))
    expect(rows.map(([key]) => key).sort()).toEqual(keys.sort())
  })
})
