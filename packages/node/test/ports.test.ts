import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { BlobIndex } from '@stored/index'
import { MemoryLedger, type TreeLedger } from '@stored/ledger'
import { withWrongHints } from '@stored/ledger/kit'
import { LmdbLedger } from '@stored/lmdb'
import { DurableStaging } from '@stored/staging'
import { JobQueue } from '@stored/syncd'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { queueSuite } from './ports/queue.suite.ts'
import { idOf, type Subject } from './ports/subject.ts'
import { portsSuite } from './ports.suite.ts'

const directories: string[] = []
afterAll(() => Promise.all(directories.map((directory) => rm(directory, { recursive: true }))))

async function temporary(): Promise<string> {
  const directory = await mkdtemp(path.join(tmpdir(), 'stored-ports-'))
  directories.push(directory)
  return directory
}

interface Placed extends Subject {
  readonly directory: string
}

async function subjectOf(ledger: TreeLedger, directory: string): Promise<Placed> {
  const files = path.join(directory, 'staging')
  const staging = await DurableStaging.open({ ledger, path: files })
  return {
    ledger,
    index: new BlobIndex(ledger),
    queue: new JobQueue(ledger),
    staging,
    directory,
    files: () => readdir(files),
    close: async () => {
      await staging.close()
      await ledger.close()
    },
  }
}

portsSuite({
  name: 'in memory',
  durable: false,
  open: async () => subjectOf(new MemoryLedger(), await temporary()),
})

describe('in memory, with hints that are stale and doubled', () => {
  let subject: Subject
  beforeEach(async () => {
    subject = await subjectOf(withWrongHints(new MemoryLedger()), await temporary())
    return () => subject.close()
  })
  queueSuite(() => subject)
})

test('a queue whose hints leave rows out claims each job once, in the end', async () => {
  const { ledger, queue, close } = await subjectOf(
    withWrongHints(new MemoryLedger(), { leavesOut: true }),
    await temporary(),
  )
  const keys = Array.from({ length: 30 }, (_, i) => `k${i}`)
  await ledger.transact((tx) => {
    for (const key of keys) queue.enqueue(tx, { op: 'put', backend: 'a', key, id: idOf(key), size: 1 })
  })
  const claimed: string[] = []
  for (let tries = 0; tries < 200 && claimed.length < keys.length; tries++)
    claimed.push(...(await queue.claim('a', { max: 5, leaseMs: 60_000 })).map(({ key }) => key))
  expect(claimed.sort()).toEqual(keys.sort())
  expect((await queue.counts()).a).toMatchObject({ waiting: 0, running: 30 })
  await close()
})

const openLmdb = async (directory: string) =>
  subjectOf(await LmdbLedger.open({ path: directory, reserve: 0 }), directory)

portsSuite({
  name: 'in LMDB',
  durable: true,
  open: async () => openLmdb(await temporary()),
  reopen: async (subject) => {
    await subject.close()
    return openLmdb((subject as Placed).directory)
  },
})
