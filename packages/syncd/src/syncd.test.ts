import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import {
  type Committed,
  guardBackend,
  type Index,
  type NewJob,
  type Staging,
  type SyncTarget,
  type Transaction,
} from '@stored/core'
import { MemoryBackend, StorageError } from '@stored/core/backend'
import { encodeRow, MemoryLedger, writerOf } from '@stored/ledger'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { Leadership, leaderOf } from './coordination/leadership.ts'
import { JobQueue } from './queue/job-queue.ts'
import { SyncD } from './syncd.ts'
import { type Health, readHealth } from './work/health.ts'

/** A busy machine may take its time; what never happens fails all the same. */
const PATIENCE = { timeout: 60_000 }

/** Its next commits may be preceded by something, or fail. */
class EventfulLedger extends MemoryLedger {
  readonly before: (() => Promise<void>)[] = []

  override async transact<T>(write: (tx: Transaction) => T): Promise<Committed<T>> {
    await this.before.shift()?.()
    return super.transact(write)
  }
}

const fail = async (): Promise<void> => {
  throw new StorageError('UNAVAILABLE', { op: 'commit' })
}

let directory: string
let ledger: EventfulLedger
let queue: JobQueue
let opened: { close(): Promise<void> }[]

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'stored-syncd-'))
  ledger = new EventfulLedger()
  queue = new JobQueue(ledger)
  opened = []
})

afterEach(async () => {
  ledger.before.length = 0
  await Promise.all(opened.map((one) => one.close()))
  await rm(directory, { recursive: true })
  vi.restoreAllMocks()
})

const FIRST = { value: 0, known: Promise.resolve() }

function target(name: string): SyncTarget {
  const backend = guardBackend(new MemoryBackend(), { name })
  return { backend, generation: FIRST, concurrency: 4, bytesInFlight: 2 ** 20, overwrite: false }
}

/** Of a place that nobody wants a copy at: they are done as soon as they are tried. */
async function enqueue(key: string, backend = 'a'): Promise<void> {
  const job: NewJob = { op: 'put', id: `sha256:${'0'.repeat(64)}`, size: 1, backend, key }
  await ledger.transact((tx) => queue.enqueue(tx, job))
}

/** Stands for another process that syncs. */
async function formerLeader(): Promise<Leadership> {
  const former = await Leadership.open({ ledger, directory, lead: true, onError: () => {} })
  opened.push(former)
  return former
}

async function open(): Promise<SyncD> {
  const index = { location: () => null, tenure: () => ({ generation: 0 }) } as unknown as Index
  const staging = { isAboveHighWater: () => false } as Staging
  const syncd = await SyncD.open({ ledger, index, queue, staging, directory })
  opened.push(syncd)
  return syncd
}

async function jobsLeft(): Promise<number> {
  const { waiting = 0, running = 0 } = (await queue.counts()).a ?? {}
  return waiting + running
}

describe('who takes over', () => {
  test('also does the jobs that the former leader was at', async () => {
    const former = await formerLeader()
    const syncd = await open()
    syncd.add(target('a'))
    await enqueue('left')
    await queue.claim('a', { max: 1, leaseMs: 60_000 })
    await former.close()
    await vi.waitFor(async () => expect(await jobsLeft()).toBe(0), PATIENCE)
  })

  test('begins although the former leader settles its jobs at the same moment', async () => {
    const former = await formerLeader()
    const syncd = await open()
    syncd.add(target('a'))
    await enqueue('late')
    const [late] = await queue.claim('a', { max: 1, leaseMs: 60_000 })
    await enqueue('next')
    // Behind the commit that names the new leader.
    ledger.before.push(
      async () => {},
      async () => void (await ledger.transact((tx) => queue.complete(tx, late as NonNullable<typeof late>))),
    )
    await former.close()
    await vi.waitFor(async () => expect(await jobsLeft()).toBe(0), PATIENCE)
  })

  test('begins once the ledger works that failed at first', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    const former = await formerLeader()
    const syncd = await open()
    syncd.add(target('a'))
    await enqueue('left')
    await queue.claim('a', { max: 1, leaseMs: 60_000 })
    ledger.before.push(async () => {}, fail)
    await former.close()
    await vi.waitFor(async () => expect(await jobsLeft()).toBe(0), PATIENCE)
    expect(warn).toHaveBeenCalledWith(expect.objectContaining({ code: 'UNAVAILABLE' }), expect.anything())
  })
})

describe('open()', () => {
  test('that fails leaves the syncing to another process', async () => {
    await enqueue('left')
    await queue.claim('a', { max: 1, leaseMs: 60_000 })
    ledger.before.push(async () => {}, fail)
    await expect(open()).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(await open()).toMatchObject({ active: true })
  })
})

/** Stands for another process that took over unnoticed. */
async function replace(): Promise<void> {
  const socket = 'syncer-00000000000a.sock'
  const successor = createServer()
  await new Promise<void>((resolve) => successor.listen(path.join(directory, socket), resolve))
  opened.push({ close: async () => void successor.close() })
  const row = encodeRow({ socket }, 1_000_000n)
  await ledger.transact((tx) => writerOf(tx).put('meta', Buffer.from('syncer'), row))
}

describe('who was replaced, and does not know it yet,', () => {
  test('claims nothing more and follows its successor', async () => {
    const syncd = await open()
    syncd.add(target('a'))
    await replace()
    await enqueue('k')
    await vi.waitFor(() => expect(syncd.active).toBe(false), PATIENCE)
    expect((await Array.fromAsync(queue.jobs({}))).flat()).toMatchObject([{ state: 'waiting', attempts: 0 }])
  })

  test('puts no job back: its successor may be at it', async () => {
    await enqueue('k')
    await queue.claim('a', { max: 1, leaseMs: 60_000 })
    ledger.before.push(async () => {}, replace)
    expect((await open()).active).toBe(false)
    expect((await Array.fromAsync(queue.jobs({}))).flat()).toMatchObject([{ state: 'running' }])
  })
})

test('remove() of a backend that fails removes what other processes are told of it', async () => {
  const health: Health = { state: 'failing', error: { code: 'UNAVAILABLE', message: 'away' }, asOf: 1 }
  const syncd = await open()
  syncd.add(target('a'))
  await ledger.transact((tx) =>
    writerOf(tx).put('meta', Buffer.from('health\0a'), encodeRow({ health, leader: leaderOf(tx) }, tx.ticket)),
  )
  const told = () => ledger.look((view) => readHealth(view, 'a'))
  expect(await told()).toMatchObject({ health, isHistory: false })
  await syncd.remove('a')
  await vi.waitFor(async () => expect((await told()).health).toBeNull(), PATIENCE)
})

test('state() of a backend that the leader is not configured with is unknown, until it is', async () => {
  const leader = await open()
  leader.add(target('a'))
  const other = await open()
  for (const name of ['a', 'b']) other.add(target(name))
  const told = (state: string) => vi.waitFor(async () => expect(await other.state('b')).toEqual({ state }), PATIENCE)
  await told('unknown')
  expect([await leader.state('a'), await other.state('a')]).toEqual([{ state: 'ok' }, { state: 'ok' }])
  leader.add(target('b'))
  await told('ok')
  await leader.remove('b')
  await told('unknown')
  // The next leader has both.
  await leader.close()
  await told('ok')
})
