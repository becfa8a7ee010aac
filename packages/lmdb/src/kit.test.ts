import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { CASES, runCase } from '@stored/ledger/kit'
import { afterAll, test } from 'vitest'
import { LmdbLedger } from './lmdb-ledger.ts'

const directories: string[] = []
afterAll(() => Promise.all(directories.map((directory) => rm(directory, { recursive: true }))))

async function open(): Promise<LmdbLedger> {
  const directory = await mkdtemp(path.join(tmpdir(), 'stored-kit-'))
  directories.push(directory)
  return LmdbLedger.open({ path: directory, reserve: 0 })
}

test.each(CASES.map((one) => [one.id, one] as const))('LmdbLedger: %s', async (_, one) => {
  await runCase(one, { open })
})
