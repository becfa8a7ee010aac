import type { BlobId, Claimed, Index, Location, NewJob, SyncTarget } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import { MemoryLedger } from '@stored/ledger'
import { expect, test } from 'vitest'
import { JobQueue } from '../queue/job-queue.ts'
import type { Services } from './services.ts'
import { parkJob } from './settle.ts'

const [FORMER, LATTER]: BlobId[] = ['1', '2'].map((digit): BlobId => `sha256:${digit.repeat(64)}`)
const PLACE = { backend: 'a', key: 'k' }

function jobFor(id: BlobId): NewJob {
  return { ...PLACE, op: 'put', id, size: 1 }
}

test('parkJob() of a job whose key was bound anew ends it, records nothing and lets the newer one run', async () => {
  const ledger = new MemoryLedger()
  const queue = new JobQueue(ledger)
  await ledger.transact((tx) => queue.enqueue(tx, jobFor(FORMER as BlobId)))
  const [job] = (await queue.claim('a', { max: 1, leaseMs: 60_000 })) as [Claimed]
  await ledger.transact((tx) => queue.enqueue(tx, jobFor(LATTER as BlobId)))
  const now = { ...PLACE, id: LATTER, state: 'pending' } as Location
  const index = { location: () => now, tenure: () => ({ generation: 0 }) } as unknown as Index
  const target = { generation: { value: 0, known: Promise.resolve() } } as SyncTarget
  const services = { ledger, queue, index } as unknown as Services

  expect(await parkJob(services, target, job, new StorageError('TOO_LARGE', { op: 'put', ...PLACE }))).toBeNull()
  expect((await Array.fromAsync(ledger.events({ since: 0, signal: new AbortController().signal }))).flat()).toEqual([])
  expect(await queue.claim('a', { max: 2, leaseMs: 60_000 })).toMatchObject([{ id: LATTER }])
})
