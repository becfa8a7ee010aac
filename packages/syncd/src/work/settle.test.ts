import type { BlobId, Claimed, Index, Location, LocationFacts, NewJob, SyncTarget, Transaction } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import { MemoryLedger } from '@stored/ledger'
import { describe, expect, test } from 'vitest'
import { JobQueue } from '../queue/job-queue.ts'
import type { Services } from './services.ts'
import { parkJob } from './settle.ts'

const [FORMER, LATTER]: BlobId[] = ['1', '2'].map((digit): BlobId => `sha256:${digit.repeat(64)}`)
const PLACE = { backend: 'a', key: 'k' }

const NEVER = new AbortController().signal
const NONE = { waiting: 0, running: 0, parked: 0, bytes: 0 }
const FAILURE = new StorageError('TOO_LARGE', { op: 'put', ...PLACE })

function jobFor(id: BlobId): NewJob {
  return { ...PLACE, op: 'put', id, size: 1 }
}

/** A job that runs, and a place that is what it is by now. */
async function running(now: Partial<Location>) {
  const ledger = new MemoryLedger()
  const queue = new JobQueue(ledger)
  const enqueue = (id: BlobId | undefined) => ledger.transact((tx) => queue.enqueue(tx, jobFor(id as BlobId)))
  await enqueue(FORMER)
  const [job] = (await queue.claim('a', { max: 1, leaseMs: 60_000 })) as [Claimed]
  const located: LocationFacts[] = []
  const index = {
    location: () => ({ ...PLACE, ...now }) as Location,
    locate: (tx: Transaction, location: LocationFacts) => tx.afterwards(() => located.push(location)),
    tenure: () => ({ generation: 0 }),
  } as unknown as Index
  const target = { generation: { value: 0, known: Promise.resolve() } } as SyncTarget
  const services = { ledger, queue, index } as unknown as Services
  const events = async () => (await Array.fromAsync(ledger.events({ since: 0, signal: NEVER }))).flat()
  return { queue, enqueue, located, events, park: () => parkJob(services, target, job, FAILURE) }
}

describe('parkJob() records nothing and leaves the place as it is', () => {
  test('if its key was bound anew: the newer job runs', async () => {
    const { queue, enqueue, located, events, park } = await running({ id: LATTER as BlobId, state: 'pending' })
    await enqueue(LATTER)
    expect(await park()).toBeNull()
    expect([located, await events()]).toEqual([[], []])
    expect(await queue.claim('a', { max: 2, leaseMs: 60_000 })).toMatchObject([{ id: LATTER }])
  })

  test('if a newer job waits for the same blob: that one may succeed, and the place stays pending until then', async () => {
    const { queue, enqueue, located, events, park } = await running({ id: FORMER as BlobId, state: 'pending' })
    await enqueue(FORMER)
    expect(await park()).toBeNull()
    expect([located, await events()]).toEqual([[], []])
    expect(await queue.claim('a', { max: 2, leaseMs: 60_000 })).toMatchObject([{ id: FORMER, attempts: 1 }])
  })

  test('if the job before it made the copy: a job that was put behind one for the same blob may still be there', async () => {
    const { queue, located, events, park } = await running({ id: FORMER as BlobId, state: 'synced' })
    expect(await park()).toBeNull()
    expect([located, await events(), await queue.counts()]).toEqual([[], [], { a: { ...NONE } }])
  })
})
