import { StorageError } from '@stored/core/backend'
import { BlobIndex } from '@stored/index'
import { LmdbLedger } from '@stored/lmdb'
import { JobQueue } from '@stored/syncd'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { idOf, openAt, type TempDirectory, temp } from './temp.ts'

type Store = Awaited<ReturnType<typeof openAt>>

/** More than a page of rows of each kind. */
const MANY = 1200
const TEXT = 'the same bytes under many keys'
const keyOf = (i: number) => `k/${String(i).padStart(5, '0')}`

let dir: TempDirectory
let store: Store

beforeAll(async () => {
  dir = await temp()
  await fill(dir.path)
  store = await openAt(dir.path, { sync: false })
})
afterAll(async () => {
  await store.close()
  await dir[Symbol.asyncDispose]()
})

/** A store of many keys, each with a copy in `a`, a job that waits for `b` and one that was parked there. */
async function fill(directory: string): Promise<void> {
  const id = idOf(TEXT)
  {
    await using made = await openAt(directory, { sync: false })
    await made.put(Buffer.from(TEXT), { key: keyOf(0), backends: ['a'] })
  }
  const ledger = await LmdbLedger.open({ path: `${directory}/store` })
  const index = new BlobIndex(ledger)
  const queue = new JobQueue(ledger)
  const ofKey = { id, size: TEXT.length, mimeType: 'text/plain', created: 1, modified: 1, custom: {}, wanted: {} }
  const commit = (write: (tx: Parameters<typeof index.bind>[0], i: number) => void) =>
    Promise.all(Array.from({ length: MANY }, (_, i) => ledger.transact((tx) => write(tx, i))))
  const jobOf = (key: string) => ({ op: 'put', backend: 'b', key, id, size: TEXT.length }) as const
  await commit((tx, i) => queue.enqueue(tx, jobOf(`parked/${i}`)))
  for (let left = MANY; left > 0; ) {
    const claimed = await queue.claim('b', { max: 200, leaseMs: 60_000 })
    left -= claimed.length
    await Promise.all(
      claimed.map((job) =>
        ledger.transact((tx) => queue.park(tx, job, new StorageError('INVALID_KEY', { op: 'put' }))),
      ),
    )
  }
  await commit((tx, i) => {
    index.bind(tx, { ...ofKey, key: keyOf(i) })
    queue.enqueue(tx, jobOf(keyOf(i)))
    ledger.record(tx, { type: 'delete', checksum: id, keys: [keyOf(i)], time: 0 })
  })
  await ledger.close()
}

/** Every walk through the rows of a store, by the calls that make it. */
const WALKS: Readonly<Record<string, (store: Store, signal: AbortSignal) => AsyncIterable<unknown>>> = {
  'list()': (store, signal) => store.list({ missing: true, signal }),
  'list({ backend })': (store, signal) => store.list({ backend: 'b', missing: true, signal }),
  'jobs()': (store, signal) => store.jobs({ signal }),
  "jobs({ state: 'parked' })": (store, signal) => store.jobs({ state: 'parked', signal }),
  "jobs({ state: 'waiting', backend })": (store, signal) => store.jobs({ state: 'waiting', backend: 'b', signal }),
  'jobs() of an id that has none': (store, signal) => store.jobs({ id: idOf('none'), signal }),
  'events()': (store, signal) => store.events({ signal }),
  'verify()': (store, signal) => store.verify({ prefix: 'k/', backend: 'b', signal }),
}

describe.each(Object.entries(WALKS))('%s of more than a page', (_, walk) => {
  test('gives everybody else a turn', async () => {
    let turns = 0
    const turn = () => {
      turns++
      ticking = setImmediate(turn)
    }
    let ticking = setImmediate(turn)
    await Array.fromAsync(walk(store, new AbortController().signal))
    clearImmediate(ticking)
    expect(turns).toBeGreaterThanOrEqual(Math.floor(MANY / 500))
  })

  test('is ABORTED in the first such turn, long before its end', async () => {
    const abort = new AbortController()
    setImmediate(() => abort.abort())
    const met: unknown[] = []
    const walking = (async () => {
      for await (const one of walk(store, abort.signal)) met.push(one)
    })()
    await expect(walking).rejects.toMatchObject({ code: 'ABORTED' })
    expect(met.length).toBeLessThanOrEqual(500)
  })
})

describe('a call that goes through more than a page', () => {
  /** Aborted in a turn of the event loop that is not its own, and so only if it gives one. */
  function soon(): AbortSignal {
    const abort = new AbortController()
    setImmediate(() => abort.abort())
    return abort.signal
  }

  test('delete() that only tells what it would do is ABORTED before it reads all keys of a blob', async () => {
    const telling = store.delete(idOf(TEXT), { dryRun: true, signal: soon() })
    await expect(telling).rejects.toMatchObject({ code: 'ABORTED' })
    expect(await store.has(keyOf(MANY - 1))).toBe(true)
  })

  test('retry() of so many parked jobs is ABORTED on the way', async () => {
    await expect(store.retry({ signal: soon() })).rejects.toMatchObject({ code: 'ABORTED' })
    const { parked } = (await store.getBackend('b')).jobs
    expect(parked).toBeGreaterThan(0)
  })

  // The last: what it deletes is gone.
  test('delete() of a blob with so many keys is ABORTED on the way: nobody sees any of them, and it goes on', async () => {
    await expect(store.delete(idOf(TEXT), { signal: soon() })).rejects.toMatchObject({ code: 'ABORTED' })
    expect([await store.has(idOf(TEXT)), await store.has(keyOf(MANY - 1))]).toEqual([false, false])
  })
})
