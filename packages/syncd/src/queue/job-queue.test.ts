import { encodeNumbers, encodeRow, MemoryLedger, readerOf, writerOf } from '@stored/ledger'
import { expect, test, vi } from 'vitest'
import { JobQueue } from './job-queue.ts'
import { backendPrefix, dueKey, owedKey } from './keys.ts'

const ID = `sha256:${'0'.repeat(64)}` as const
const LEASE = { leaseMs: 60_000 }

test.for([
  [{ key: 'k' }, ['counts']],
  [{ state: 'waiting' }, ['owed']],
] as const)('jobs() by %j reads no row of the keys that are bound', async ([filter, trees]) => {
  const ledger = new MemoryLedger()
  const queue = new JobQueue(ledger)
  await ledger.transact((tx) => {
    queue.enqueue(tx, { op: 'put', backend: 'x', key: 'k', id: ID, size: 1 })
    writerOf(tx).put('keys', Buffer.from('k\0B'), encodeRow({ id: ID }, tx.ticket))
  })
  const range = vi.spyOn(ledger, 'range')
  expect((await Array.fromAsync(queue.jobs(filter))).flat()).toMatchObject([{ key: 'k', backend: 'x' }])
  expect([...new Set(range.mock.calls.map(([tree]) => tree))]).toEqual(trees)
})

test('claim() leaves no row of due that leads nowhere, and takes what is behind them', async () => {
  const ledger = new MemoryLedger()
  const queue = new JobQueue(ledger)
  await ledger.transact((tx) => {
    for (let i = 0; i < 5; i++)
      writerOf(tx).put('due', dueKey({ backend: 'x', key: `gone${i}` }, i, i), Buffer.alloc(0))
    queue.enqueue(tx, { op: 'put', backend: 'x', key: 'k', id: ID, size: 1 })
  })
  expect(await queue.claim('x', { max: 2, ...LEASE })).toMatchObject([{ key: 'k' }])
  const prefix = backendPrefix('x')
  const range = { from: prefix, to: Buffer.concat([prefix, Buffer.alloc(40, 0xff)]) }
  expect(await ledger.look((view) => readerOf(view).range('due', range))).toEqual([])
})

test('claim() by a row of due that another one replaced takes nothing before its time', async () => {
  const ledger = new MemoryLedger()
  const queue = new JobQueue(ledger)
  await ledger.transact((tx) => queue.enqueue(tx, { op: 'put', backend: 'x', key: 'k', id: ID, size: 1 }))
  const [job] = await queue.claim('x', { max: 1, ...LEASE })
  await ledger.transact((tx) => {
    if (job) queue.retry(tx, job, { afterMs: 60_000 })
    writerOf(tx).put('due', dueKey({ backend: 'x', key: 'k' }, 1, 1), Buffer.alloc(0))
  })
  expect(await queue.claim('x', { max: 1, ...LEASE })).toEqual([])
  expect((await Array.fromAsync(queue.jobs({}))).flat()).toMatchObject([{ key: 'k', state: 'waiting', attempts: 1 }])
})

test('jobs that earlier versions queued, under the numbers of their commits, come before those queued since', async () => {
  const ledger = new MemoryLedger()
  const queue = new JobQueue(ledger)
  const created = Date.now() - 1000
  await ledger.transact((tx) => {
    const writer = writerOf(tx)
    const place = { backend: 'x', key: 'old' }
    const row = { op: 'put', id: ID, size: 1, attempts: 0, seq: 7, created, due: created }
    writer.put('keys', Buffer.from('old\0Wx'), encodeRow(row, 7n))
    writer.put('due', dueKey(place, created, 7), Buffer.alloc(0))
    writer.put('owed', owedKey(place, 7), encodeNumbers([created]))
    writer.add('counts', Buffer.from('x'), [1, 0, 0, 1])
  })
  await ledger.transact((tx) => queue.enqueue(tx, { op: 'put', backend: 'x', key: 'new', id: ID, size: 1 }))
  const keys = async () => (await Array.fromAsync(queue.jobs({ backend: 'x' }))).flat().map(({ key }) => key)
  expect(await keys()).toEqual(['old', 'new'])
  expect((await queue.counts()).x).toMatchObject({ waiting: 2, oldest: created })
  const [first] = await queue.claim('x', { max: 1, ...LEASE })
  expect(first).toMatchObject({ key: 'old', seq: 7 })
  await ledger.transact((tx) => {
    queue.enqueue(tx, { op: 'put', backend: 'x', key: 'old', id: ID, size: 1 })
    if (first) queue.complete(tx, first)
  })
  expect(await keys()).toEqual(['new', 'old'])
  expect((await queue.counts()).x).toMatchObject({ waiting: 2, running: 0, bytes: 2 })
})

test('a job that is queued in the millisecond of the one that runs at its place outlives it', async () => {
  vi.useFakeTimers({ toFake: ['Date'], now: 1_732_844_100_000 })
  try {
    const ledger = new MemoryLedger()
    const queue = new JobQueue(ledger)
    const enqueue = () =>
      ledger.transact((tx) => queue.enqueue(tx, { op: 'put', backend: 'x', key: 'k', id: ID, size: 1 }))
    await enqueue()
    const [job] = await queue.claim('x', { max: 1, ...LEASE })
    await enqueue()
    await ledger.transact((tx) => job && queue.complete(tx, job))
    expect((await Array.fromAsync(queue.jobs({ backend: 'x' }))).flat()).toMatchObject([{ key: 'k', state: 'waiting' }])
    expect((await queue.counts()).x?.oldest).toBe(Date.now())
  } finally {
    vi.useRealTimers()
  }
})
