import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { encodeRow, LmdbLedger, MemoryLedger, type TreeLedger, write } from '@stored/lmdb'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { SyncLock } from './lock.ts'

const KEY = Buffer.from('syncer')

/** As written by another process. */
function holdBy(
  ledger: TreeLedger,
  holder: { pid: number; started: string | null },
): Promise<{ readonly seq: number }> {
  return ledger.transact((tx) => write(tx, (writer) => writer.put('meta', KEY, encodeRow(holder, writer.seq))))
}

describe('SyncLock.acquire()', () => {
  test('of a free store holds it; release() frees it', async () => {
    const ledger = new MemoryLedger()
    const lock = await SyncLock.acquire(ledger)
    expect(lock).toBeInstanceOf(SyncLock)
    expect(ledger.get('meta', KEY, () => true)).toBe(true)
    await lock?.release()
    expect(ledger.get('meta', KEY, () => true)).toBeUndefined()
  })

  test('of a store whose holder had our pid takes it over: that was a process before us', async () => {
    const ledger = new MemoryLedger()
    await holdBy(ledger, { pid: process.pid, started: '1' })
    expect(await SyncLock.acquire(ledger)).toBeInstanceOf(SyncLock)
  })

  test.skipIf(!existsSync('/proc/self/stat'))('of a store whose holder has a recycled pid takes it over', async () => {
    const ledger = new MemoryLedger()
    await holdBy(ledger, { pid: process.ppid, started: '1' })
    expect(await SyncLock.acquire(ledger)).toBeInstanceOf(SyncLock)
  })

  test('of a damaged row rejects CORRUPT', async () => {
    const ledger = new MemoryLedger()
    await ledger.transact((tx) => write(tx, (writer) => writer.put('meta', KEY, Buffer.from('x'))))
    await expect(SyncLock.acquire(ledger)).rejects.toMatchObject({ code: 'CORRUPT' })
  })
})

test('release() of a lock that was taken over rejects CONFLICT and leaves it to the new holder', async () => {
  const ledger = new MemoryLedger()
  const lock = await SyncLock.acquire(ledger)
  const { seq } = await holdBy(ledger, { pid: process.ppid, started: null })
  await expect(lock?.release()).rejects.toMatchObject({ code: 'CONFLICT' })
  expect(ledger.get('meta', KEY, (row) => row.readUIntBE(5, 6))).toBe(seq)
})

const CHILD = `
  import { LmdbLedger } from ${JSON.stringify(import.meta.resolve('@stored/lmdb'))}
  import { SyncLock } from ${JSON.stringify(new URL('lock.ts', import.meta.url).href)}
  const ledger = await LmdbLedger.open({ path: process.argv[1], reserve: 0 })
  process.stdout.write((await SyncLock.acquire(ledger)) ? 'held' : 'refused')
  setInterval(() => {}, 1000)
`

describe('between processes', () => {
  let directory: string
  let child: ChildProcess
  let ledger: LmdbLedger

  beforeEach(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'stored-lock-'))
    ledger = await LmdbLedger.open({ path: directory, reserve: 0 })
  })

  afterEach(async () => {
    await ledger.close()
    await end()
    await rm(directory, { recursive: true })
  })

  async function start(): Promise<string> {
    child = spawn(process.execPath, ['--input-type=module', '-e', CHILD, directory], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [said] = await once(child.stdout as NonNullable<ChildProcess['stdout']>, 'data')
    return String(said)
  }

  async function end(): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }

  test('the second is refused while the first lives, and takes over when it is gone', async () => {
    expect(await start()).toBe('held')
    expect(await SyncLock.acquire(ledger)).toBeNull()
    await end()
    expect(await SyncLock.acquire(ledger)).toBeInstanceOf(SyncLock)
  })

  test('two that find it free at the same moment: one gets it', async () => {
    const locks = await Promise.all([SyncLock.acquire(ledger), SyncLock.acquire(ledger)])
    expect(locks.map((lock) => lock !== null)).toEqual([true, false])
  })

  test('one that comes later is refused, and gets it after release()', async () => {
    const lock = await SyncLock.acquire(ledger)
    expect(await start()).toBe('refused')
    await end()
    await lock?.release()
    expect(await start()).toBe('held')
  })
})
