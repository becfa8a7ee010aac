import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { checksums } from '@stored/checksumd'
import { releaseVerified, StoreD } from '@stored/core'
import { MemoryBackend, MemoryPlace, StorageError } from '@stored/core/backend'
import { BlobIndex } from '@stored/index'
import { MemoryLedger } from '@stored/ledger'
import { DurableStaging } from '@stored/staging'
import { JobQueue, SyncD } from '@stored/syncd'
import { describe, expect, test } from 'vitest'
import { idOf, openAt, temp } from './temp.ts'

const X = Buffer.from('x')
const Y = Buffer.from('y')

/** Two stores on one ledger, as two processes have it: they share no turns, only the guards of their commits. The first one syncs. */
async function openTwo(directory: string, layout: 'key' | 'id' = 'key') {
  const ledger = new MemoryLedger()
  const index = new BlobIndex(ledger)
  const queue = new JobQueue(ledger)
  const places = { a: new MemoryPlace(), b: new MemoryPlace() }
  const staging = await DurableStaging.open({ ledger, path: directory })
  const open = async (sync: boolean) => {
    const a = new MemoryBackend({ place: places.a })
    const b = new MemoryBackend({ place: places.b })
    const syncer = await SyncD.open({ ledger, index, queue, staging, sync })
    const services = { ledger, index, queue, staging, syncer, checksums, mimeTypeOf: () => 'text/plain' }
    return {
      a,
      store: new StoreD<'a' | 'b'>({ ...services, backends: { a: { backend: a, layout }, b: { backend: b, layout } } }),
    }
  }
  const { a, store } = await open(true)
  const { store: other } = await open(false)
  const close = async () => {
    await other.close()
    await store.close()
  }
  return { store, other, a, places, ledger, index, staging, [Symbol.asyncDispose]: close }
}

/** Has `action` done between what the next commit was decided by and that commit. */
function beforeNextCommit(ledger: MemoryLedger, action: () => Promise<unknown>): void {
  const transact = ledger.transact.bind(ledger)
  ledger.transact = async (write) => {
    ledger.transact = transact
    await action()
    return transact(write)
  }
}

/** The next write of `backend` lands, and its answer is lost once `answer()` is called. */
function loseAnswer(backend: MemoryBackend): { landed: Promise<void>; answer(): void } {
  const landed = Promise.withResolvers<void>()
  const answer = Promise.withResolvers<void>()
  const put = backend.put.bind(backend)
  backend.put = async (...args) => {
    backend.put = put
    await put(...args)
    landed.resolve()
    await answer.promise
    throw new StorageError('UNAVAILABLE', { backend: 'a', op: 'put' }, { ambiguous: true })
  }
  return { landed: landed.promise, answer: answer.resolve }
}

describe('put() before whose commit another process', () => {
  test('binds its key sees that: with ifAbsent it rejects ALREADY_EXISTS', async () => {
    await using dir = await temp()
    await using two = await openTwo(dir.path)
    const { store, other, ledger } = two
    beforeNextCommit(ledger, () => other.put(Y, { key: 'k', backends: ['b'] }))
    const put = store.put(X, { key: 'k', backends: ['a'], ifAbsent: true })
    await expect(put).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
    expect(await store.get('k')).toEqual(Y)
  })

  test('puts the same bytes under another key says nothing of this one', async () => {
    await using dir = await temp()
    await using two = await openTwo(dir.path)
    const { store, other, ledger } = two
    beforeNextCommit(ledger, () => other.put(X, { key: 'j', backends: ['b'], metadata: { theirs: 1 } }))
    const { isNew } = await store.put(X, { key: 'k', backends: ['a'], metadata: { mine: 1 } })
    expect(isNew).toBe(false)
    expect(await store.stat('k')).toMatchObject({ custom: { mine: 1 } })
    expect(await store.stat('j')).toMatchObject({ custom: { theirs: 1 } })
  })

  test('leaves a copy at its place overwrites that one', async () => {
    await using dir = await temp()
    await using two = await openTwo(dir.path)
    const { store, other, ledger, places } = two
    beforeNextCommit(ledger, async () => {
      await other.put(Y, { key: 'k', backends: ['a'] })
      await store.synced()
      await other.pause('a')
      await other.delete('k')
    })
    await store.put(X, { key: 'k', backends: ['a'] })
    await store.resume('a')
    await store.synced()
    expect(Buffer.from(places.a.blobs.get('k')?.bytes ?? [])).toEqual(X)
  })

  test('begins to write the former blob to its place overwrites what that write leaves, whatever it answers', async () => {
    await using dir = await temp()
    await using two = await openTwo(dir.path)
    const { store, other, a, ledger, places } = two
    await store.pause('a')
    await store.put(Y, { key: 'k', backends: ['a'] })
    const { landed, answer } = loseAnswer(a)
    beforeNextCommit(ledger, async () => {
      await store.resume('a')
      await landed
    })
    await other.put(X, { key: 'k', backends: ['a'] })
    answer()
    await store.synced()
    expect(Buffer.from(places.a.blobs.get('k')?.bytes ?? [])).toEqual(X)
  })

  test('binds the former blob to another key leaves it to that', async () => {
    await using dir = await temp()
    await using two = await openTwo(dir.path)
    const { store, other, ledger } = two
    await store.put(X, { key: 'k', backends: ['a'] })
    await store.synced()
    beforeNextCommit(ledger, () => other.put(X, { key: 'j', backends: ['b'] }))
    await store.put(Y, { key: 'k', backends: ['a'] })
    await store.synced()
    expect(await store.get('j')).toEqual(X)
  })

  test('binds the former blob, whose last key it takes, to another key leaves the object of all keys to that', async () => {
    await using dir = await temp()
    await using two = await openTwo(dir.path, 'id')
    const { store, other, ledger } = two
    await store.put(X, { key: 'k', backends: ['a'] })
    await store.synced()
    beforeNextCommit(ledger, () => other.put(X, { key: 'j', backends: ['a'] }))
    await store.put(Y, { key: 'k', backends: ['a'] })
    await store.synced()
    expect(await store.get('j', { backend: 'a' })).toEqual(X)
  })

  test('brings the last copy that is owed keeps nothing staged, also where the former blob loses a copy', async () => {
    await using dir = await temp()
    await using two = await openTwo(dir.path, 'id')
    const { store, other, ledger, staging } = two
    await store.put(X, { key: 'j', backends: ['a'] })
    await store.synced()
    await store.pause('b')
    await store.put(X, { key: 'j', backends: ['b'] })
    await store.put(Y, { key: 'k', backends: ['b'] })
    beforeNextCommit(ledger, async () => {
      await store.resume('b')
      await store.synced()
    })
    await other.put(X, { key: 'k', backends: ['a'] })
    expect(await staging.ledger.look((view) => staging.has(view, idOf(X)))).toBe(false)
  })

  test('brings the last copy that is owed, while its own are there, keeps nothing staged', async () => {
    await using dir = await temp()
    await using two = await openTwo(dir.path)
    const { store, other, ledger, staging } = two
    await store.put(X, { key: 'k', backends: ['a'] })
    await store.synced()
    await store.pause('b')
    await store.put(X, { key: 'j', backends: ['b'] })
    beforeNextCommit(ledger, async () => {
      await store.resume('b')
      await store.synced()
    })
    await other.put(X, { key: 'k', backends: ['a'] })
    expect(await staging.ledger.look((view) => staging.has(view, idOf(X)))).toBe(false)
  })

  test('brings a first copy counts on that one when staging is full', async () => {
    await using dir = await temp()
    await using two = await openTwo(dir.path)
    const { store, other, ledger, staging } = two
    for (const name of ['a', 'b'] as const) await store.pause(name)
    await store.put(X, { key: 'j', backends: ['a'] })
    beforeNextCommit(ledger, async () => {
      await store.resume('a')
      await store.synced(undefined, { backends: ['a'] })
    })
    await other.put(X, { key: 'k', backends: ['b'] })
    expect(await staging.releasable({ limit: 1 })).toEqual([idOf(X)])
  })

  test('brings the copy of the former blob that another key owes keeps nothing of it staged', async () => {
    await using dir = await temp()
    await using two = await openTwo(dir.path)
    const { store, other, ledger, staging } = two
    for (const name of ['a', 'b'] as const) await store.pause(name)
    await store.put(X, { key: 'k', backends: ['a'] })
    await store.put(X, { key: 'j', backends: ['b'] })
    beforeNextCommit(ledger, async () => {
      await store.resume('b')
      await store.synced(undefined, { backends: ['b'] })
    })
    await other.put(Y, { key: 'k', backends: ['a'] })
    expect(await staging.ledger.look((view) => staging.has(view, idOf(X)))).toBe(false)
  })
})

describe('delete() before whose commit another process', () => {
  test('binds the blob to another key leaves it to that', async () => {
    await using dir = await temp()
    await using two = await openTwo(dir.path)
    const { store, other, ledger } = two
    await store.put(X, { key: 'k', backends: ['a'] })
    await store.synced()
    beforeNextCommit(ledger, () => other.put(X, { key: 'j', backends: ['b'] }))
    await store.delete('k')
    await store.synced()
    expect(await store.get('j')).toEqual(X)
  })

  test('binds the key anew deletes what it is bound to now', async () => {
    await using dir = await temp()
    await using two = await openTwo(dir.path)
    const { store, other, ledger } = two
    await store.put(X, { key: 'k' })
    beforeNextCommit(ledger, () => other.put(Y, { key: 'k' }))
    await store.delete('k')
    expect(await store.stat(idOf(Y))).toBeNull()
    expect(await store.stat('k')).toBeNull()
  })

  test('brings the copy that another key owes keeps nothing staged', async () => {
    await using dir = await temp()
    await using two = await openTwo(dir.path)
    const { store, other, ledger, staging } = two
    for (const name of ['a', 'b'] as const) await store.pause(name)
    await store.put(X, { key: 'k', backends: ['a'] })
    await store.put(X, { key: 'j', backends: ['b'] })
    beforeNextCommit(ledger, async () => {
      await store.resume('b')
      await store.synced(undefined, { backends: ['b'] })
    })
    await other.delete('k')
    expect(await staging.ledger.look((view) => staging.has(view, idOf(X)))).toBe(false)
  })

  test('brings the copy of its key, of a blob with another one, removes that copy', async () => {
    await using dir = await temp()
    await using two = await openTwo(dir.path)
    const { store, other, ledger, places } = two
    await store.pause('a')
    await store.put(X, { key: 'k', backends: ['a'] })
    await store.put(X, { key: 'j', backends: ['b'] })
    await store.synced(undefined, { backends: ['b'] })
    beforeNextCommit(ledger, async () => {
      await store.resume('a')
      await store.synced()
    })
    await other.delete('k')
    await store.synced()
    expect([...places.a.blobs.keys()]).toEqual([])
  })

  test('begins to write a copy removes what that write leaves, whatever it answers', async () => {
    await using dir = await temp()
    await using two = await openTwo(dir.path)
    const { store, other, a, ledger, places } = two
    await store.pause('a')
    await store.put(X, { key: 'k', backends: ['a'] })
    const { landed, answer } = loseAnswer(a)
    beforeNextCommit(ledger, async () => {
      await store.resume('a')
      await landed
    })
    await other.delete('k')
    answer()
    await store.synced()
    expect([...places.a.blobs.keys()]).toEqual([])
  })

  test.each([
    ['deletes', (other: StoreD<'a' | 'b'>) => other.delete('j')],
    ['binds anew', (other: StoreD<'a' | 'b'>) => other.put(Y, { key: 'j' })],
  ])('%s the only other key of the blob forgets it', async (_, takeOther) => {
    await using dir = await temp()
    await using two = await openTwo(dir.path, 'id')
    const { store, other, ledger } = two
    await store.put(X, { key: 'j' })
    await store.put(X, { key: 'k' })
    await store.synced()
    beforeNextCommit(ledger, () => takeOther(other))
    await store.delete('k')
    expect(await store.stat(idOf(X))).toBeNull()
  })
})

describe('a job before whose commit another process', () => {
  test('puts other bytes to its place leaves them owed', async () => {
    await using dir = await temp()
    await using two = await openTwo(dir.path)
    const { store, other, a, ledger, places } = two
    await store.put(X, { key: 'k', backends: ['a'] })
    await store.synced()
    const remove = a.delete.bind(a)
    a.delete = async (...args) => {
      await remove(...args)
      beforeNextCommit(ledger, () => other.put(Y, { key: 'k', backends: ['a'] }))
    }
    await store.delete('k')
    await store.synced()
    expect(Buffer.from(places.a.blobs.get('k')?.bytes ?? [])).toEqual(Y)
  })

  test('puts its bytes under another key leaves them staged for that', async () => {
    await using dir = await temp()
    await using two = await openTwo(dir.path)
    const { store, other, a, ledger } = two
    await store.pause('b')
    const put = a.put.bind(a)
    a.put = async (...args) => {
      a.put = put
      const stat = await put(...args)
      beforeNextCommit(ledger, () => other.put(X, { key: 'j', backends: ['b'] }))
      return stat
    }
    await store.put(X, { key: 'k', backends: ['a'] })
    await store.synced(undefined, { backends: ['a'] })
    await store.delete('k')
    await store.synced(undefined, { backends: ['a'] })
    await store.resume('b')
    await store.synced()
    expect(await store.get('j')).toEqual(X)
  })

  test('puts other bytes to its place parks nothing there', async () => {
    await using dir = await temp()
    await using two = await openTwo(dir.path)
    const { store, other, a, places } = two
    const put = a.put.bind(a)
    a.put = async () => {
      a.put = put
      await other.put(Y, { key: 'k', backends: ['a'] })
      throw new StorageError('TOO_LARGE', { backend: 'a', op: 'put' })
    }
    await store.put(X, { key: 'k', backends: ['a'] })
    await store.synced()
    expect(Buffer.from(places.a.blobs.get('k')?.bytes ?? [])).toEqual(Y)
  })
})

test('retry() before whose commit another process puts other bytes to its place, which are refused too, lets those be owed again', async () => {
  await using dir = await temp()
  await using two = await openTwo(dir.path)
  const { store, other, a, ledger } = two
  a.put = async () => {
    throw new StorageError('TOO_LARGE', { backend: 'a', op: 'put' })
  }
  await store.put(X, { key: 'k', backends: ['a'] })
  await expect(store.synced('k')).rejects.toMatchObject({ code: 'TOO_LARGE' })
  beforeNextCommit(ledger, async () => {
    await other.put(Y, { key: 'k', backends: ['a'] })
    await expect(store.synced('k')).rejects.toMatchObject({ code: 'TOO_LARGE' })
    await store.pause('a')
  })
  await store.retry()
  const [job] = await Array.fromAsync(store.jobs())
  expect(job).toMatchObject({ id: idOf(Y), state: 'waiting' })
  expect((await store.stat('k'))?.locations).toMatchObject([{ state: 'pending' }])
})

test('releaseVerified() before whose commit another process drops the copy it counts on releases nothing', async () => {
  await using dir = await temp()
  await using two = await openTwo(dir.path)
  const { store, other, ledger, index, staging } = two
  const full = await DurableStaging.open({ ledger, path: dir.path, highWater: 0 })
  await store.pause('b')
  await store.put(X, { key: 'k' })
  await store.synced(undefined, { backends: ['a'] })
  beforeNextCommit(ledger, () => other.delete('k', { backends: ['a'] }))
  const released = await releaseVerified({ ledger, index, staging: full }, () => true, Date.now())
  expect(released).toEqual({ blobs: 0, bytes: 0 })
  expect(await staging.ledger.look((view) => staging.has(view, idOf(X)))).toBe(true)
  await store.resume('b')
  await store.synced()
  expect(await store.get('k', { backend: 'b' })).toEqual(X)
})

test('delete() of a copy, before whose commit the staged bytes it counts on are released, is refused', async () => {
  await using dir = await temp()
  await using two = await openTwo(dir.path)
  const { store, ledger, index } = two
  const staging = await DurableStaging.open({ ledger, path: dir.path, highWater: 0 })
  await store.pause('b')
  await store.put(X, { key: 'k' })
  await store.synced(undefined, { backends: ['a'] })
  beforeNextCommit(ledger, () => releaseVerified({ ledger, index, staging }, () => true, Date.now()))
  const dropped = store.delete('k', { backends: ['a'] })
  await expect(dropped).rejects.toMatchObject({ code: 'PRECONDITION_FAILED' })
  expect(await staging.ledger.look((view) => staging.has(view, idOf(X)))).toBe(false)
  expect(await store.get('k')).toEqual(X)
})

/** A process that stores `k` and ends. */
const CHILD = `
  import { openStore } from ${JSON.stringify(import.meta.resolve('@stored/node'))}
  import { MemoryBackend } from ${JSON.stringify(import.meta.resolve('@stored/core/backend'))}
  const store = await openStore({ path: process.argv[1], backends: { a: new MemoryBackend() }, sync: false })
  await store.put(Buffer.from('x'), { key: 'k' })
  await store.close()
`

test('a call sees what another process was told just before it, without a turn of the event loop in between', async () => {
  await using dir = await temp()
  await using store = await openAt(dir.path, { sync: false })
  expect(await store.has('k')).toBe(false)
  const directory = path.join(dir.path, 'store')
  const { status } = spawnSync(process.execPath, ['--input-type=module', '-e', CHILD, directory], { stdio: 'inherit' })
  expect(status).toBe(0)
  expect(await store.get('k')).toEqual(X)
})
