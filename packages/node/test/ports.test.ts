import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { BlobIndex } from '@stored/index'
import { MemoryLedger, type TreeLedger } from '@stored/ledger'
import { LmdbLedger } from '@stored/lmdb'
import { DurableStaging } from '@stored/staging'
import { JobQueue } from '@stored/syncd'
import { afterAll } from 'vitest'
import type { Subject } from './ports/subject.ts'
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
