import { encodeRow, MemoryLedger, write } from '@stored/ledger'
import { expect, test, vi } from 'vitest'
import { JobQueue } from './job-queue.ts'

test.for([
  [{ key: 'k' }, ['counts']],
  [{ state: 'waiting' }, ['owed']],
] as const)('jobs() by %j reads no row of the keys that are bound', async ([filter, trees]) => {
  const ledger = new MemoryLedger()
  const queue = new JobQueue(ledger)
  const id = `sha256:${'0'.repeat(64)}` as const
  await ledger.transact((tx) => {
    queue.enqueue(tx, { op: 'put', backend: 'x', key: 'k', id, size: 1 })
    write(tx, (writer) => writer.put('keys', Buffer.from('k\0B'), encodeRow({ id }, writer.ticket)))
  })
  const range = vi.spyOn(ledger, 'range')
  expect(await Array.fromAsync(queue.jobs(filter))).toMatchObject([{ key: 'k', backend: 'x' }])
  expect([...new Set(range.mock.calls.map(([tree]) => tree))]).toEqual(trees)
})
