import { spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, open, readdir, readFile, rm, stat, truncate, unlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { BlobId } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import { THIS_PROCESS } from '@stored/core/processes'
import { MemoryLedger, readerOf, writerOf } from '@stored/ledger'
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { DurableStaging } from './staging.ts'

const ID: BlobId = `sha256:${'a'.repeat(64)}`
const NEVER = new AbortController().signal
const HOUR_MS = 60 * 60 * 1000
const FILE = Buffer.alloc(100_000, 'a')

let directory: string
let ledger: MemoryLedger
let staging: DurableStaging

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'stored-staging-'))
  ledger = new MemoryLedger()
  staging = await DurableStaging.open({ ledger, path: directory })
})
afterEach(async () => {
  await staging.close()
  await rm(directory, { recursive: true, force: true })
})

const files = () => readdir(directory)
/** A source that says whether it was ended. */
function source(...chunks: Uint8Array[]) {
  const state = { isEnded: false }
  async function* body() {
    try {
      yield* chunks
    } finally {
      state.isEnded = true
    }
  }
  return Object.assign(body(), { state })
}
const receive = (...chunks: Uint8Array[]) => staging.receive(source(...chunks), { signal: NEVER, whenFull: 'wait' })
async function keep(): Promise<string> {
  await using staged = await receive(FILE)
  await ledger.transact((tx) => staging.keep(tx, ID, staged))
  const [name] = await files()
  return path.join(directory, name as string)
}

test('keep() of bytes that are kept already removes the file of the former ones, and its row', async () => {
  const former = await keep()
  const rowsOf = () =>
    ledger.look((view) => readerOf(view).range('bytes', { from: Buffer.of(0), to: Buffer.of(255) }).length)
  const before = await rowsOf()
  {
    await using staged = await receive(FILE)
    await ledger.transact((tx) => staging.keep(tx, ID, staged))
  }
  await vi.waitFor(() => expect(existsSync(former)).toBe(false))
  expect([await rowsOf(), (await files()).length]).toEqual([before, 1])
})

describe('sweep()', () => {
  /** The pid of a process that has ended. */
  const deadPid = () => spawnSync('true').pid
  /** What a process names its files. */
  const nameOf = (pid: number, of: { namespace?: string; start?: string; token?: string } = {}) => {
    const { namespace, start, token } = { ...THIS_PROCESS, start: startOf(pid), token: 'ab', ...of }
    return `${pid}.${namespace}.${start}.${token}-${randomUUID()}`
  }
  /** In clock ticks since boot. @see proc_pid_stat(5) */
  const startOf = (pid: number) => {
    const stat = existsSync(`/proc/${pid}/stat`) ? readFileSync(`/proc/${pid}/stat`, 'utf8') : ''
    return stat.slice(stat.lastIndexOf(')')).split(' ')[20] ?? ''
  }
  const write = async (name: string, hoursAgo = 0) => {
    const file = path.join(directory, name)
    await writeFile(file, 'x')
    const then = Date.now() / 1000 - hoursAgo * 3600
    await utimes(file, then, then)
  }

  /** Sweeps as another thread would, by a copy of the package that does not see what this one receives and was idle for long. */
  const sweepUnseen = async () => {
    const then = Date.now() / 1000 - 2 * 3600
    for (const name of await files()) await utimes(path.join(directory, name), then, then)
    vi.resetModules()
    const { DurableStaging } = await import('./staging.ts')
    const other = await DurableStaging.open({ ledger, path: directory })
    await other.sweep()
    await other.close()
  }
  const sweptRows = () =>
    ledger.look((view) => readerOf(view).range('bytes', { from: Buffer.from('X'), to: Buffer.from('Y') }).length)

  test('removes what a process that is gone left behind', async () => {
    await write(nameOf(deadPid()))
    await staging.sweep()
    expect(await files()).toEqual([])
  })

  test('removes what a process in another namespace left behind, an hour after it was last written to', async () => {
    const name = nameOf(deadPid(), { namespace: '1' })
    await write(name, 0.9)
    expect(await staging.sweep()).toBe(0)
    await write(name, 1.1)
    expect(await staging.sweep()).toBe(1)
  })

  test('that took a file for abandoned makes its put fail, not its bytes be missing', async () => {
    await using staged = await receive(FILE)
    await sweepUnseen()
    expect(await files()).toEqual([])
    const keeping = ledger.transact((tx) => staging.keep(tx, ID, staged))
    await expect(keeping).rejects.toMatchObject({ code: 'CONFLICT', retryable: true })
    expect(await staging.ledger.look((view) => staging.has(view, ID))).toBe(false)
    expect(staging.usage()).toMatchObject({ count: 0 })
  })

  test('leaves no row behind of a file that this process let go of', async () => {
    const file = await keep()
    const other = await DurableStaging.open({ ledger, path: directory })
    await ledger.transact((tx) => staging.release(tx, ID))
    await other.sweep()
    await other.close()
    await expect.poll(() => existsSync(file)).toBe(false)
    expect(await sweptRows()).toBe(0)
  })

  test('forgets what it swept once nobody could keep it', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    onTestFinished(() => void vi.useRealTimers())
    await write(nameOf(deadPid(), { namespace: '1' }), 2)
    await staging.sweep()
    expect(await sweptRows()).toBe(1)
    vi.setSystemTime(Date.now() + 47 * HOUR_MS)
    await staging.sweep()
    expect(await sweptRows()).toBe(1)
    vi.setSystemTime(Date.now() + 2 * HOUR_MS)
    await staging.sweep()
    expect(await sweptRows()).toBe(0)
  })

  test('is no danger to what was received a day ago: it is kept no more', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    onTestFinished(() => void vi.useRealTimers())
    await using staged = await receive(FILE)
    vi.setSystemTime(Date.now() + 25 * HOUR_MS)
    const keeping = ledger.transact((tx) => staging.keep(tx, ID, staged))
    await expect(keeping).rejects.toMatchObject({ code: 'CONFLICT', retryable: true })
  })

  test('that takes a file for abandoned leaves it where it was kept since', async () => {
    await using staged = await receive(FILE)
    await ledger.transact((tx) => staging.keep(tx, ID, staged))
    await sweepUnseen()
    expect(await files()).toHaveLength(1)
  })

  test('leaves what a living process writes', async () => {
    const name = nameOf(process.ppid)
    await write(name, 2)
    expect(await staging.sweep()).toBe(0)
    expect(await files()).toEqual([name])
  })

  test('leaves what this process has received and not yet kept', async () => {
    await using _ = await receive(FILE)
    expect(await staging.sweep()).toBe(0)
    expect(await files()).toHaveLength(1)
  })

  test('leaves what is held for days, also in a process that it cannot see', async () => {
    vi.useFakeTimers({ toFake: ['Date', 'setInterval', 'clearInterval'] })
    onTestFinished(() => void vi.useRealTimers())
    await using staged = await receive(FILE)
    const [name] = await files()
    const file = path.join(directory, name as string)
    const begun = Date.now()
    for (let quarter = 1; quarter <= 4 * 30; quarter++) {
      await vi.advanceTimersByTimeAsync(HOUR_MS / 4)
      const touched = async () => (await stat(file)).mtimeMs
      await vi.waitFor(async () => expect(await touched()).toBeGreaterThan(begun + (quarter - 0.5) * (HOUR_MS / 4)))
    }
    await ledger.transact((tx) => staging.keep(tx, ID, staged))
    expect(await files()).toHaveLength(1)
  })

  test('that took a file for abandoned is not undone by who holds it', async () => {
    vi.useFakeTimers({ toFake: ['Date', 'setInterval', 'clearInterval'] })
    onTestFinished(() => void vi.useRealTimers())
    await using staged = await receive(FILE)
    await sweepUnseen()
    await vi.advanceTimersByTimeAsync(30 * HOUR_MS)
    const keeping = ledger.transact((tx) => staging.keep(tx, ID, staged))
    await expect(keeping).rejects.toMatchObject({ code: 'CONFLICT' })
  })

  test('leaves what another staging of this process has received and not yet kept', async () => {
    const received = await receive(FILE)
    const other = await DurableStaging.open({ ledger, path: directory })
    expect(await other.sweep()).toBe(0)
    await other.close()
    await ledger.transact((tx) => staging.keep(tx, ID, received))
    await received[Symbol.asyncDispose]()
    expect(await files()).toHaveLength(1)
  })

  test('removes what a staging that was closed since had received, which it keeps no more', async () => {
    await using received = await receive(FILE)
    await staging.close()
    const other = await DurableStaging.open({ ledger, path: directory })
    await other.sweep()
    await other.close()
    expect(await files()).toEqual([])
    const keeping = ledger.transact((tx) => staging.keep(tx, ID, received))
    await expect(keeping).rejects.toMatchObject({ code: 'CLOSED' })
  })

  test('removes what a process before us with our pid left behind', async () => {
    // As earlier versions named it: this one names none so.
    await write(`${process.pid}.${THIS_PROCESS.namespace}-${randomUUID()}`)
    await staging.sweep()
    expect(await files()).toEqual([])
  })

  test.runIf(process.platform === 'linux')(
    'removes what processes left behind whose pids living ones have by now',
    async () => {
      await write(nameOf(process.ppid, { start: '1' }))
      await write(nameOf(process.pid, { start: '1' }))
      await staging.sweep()
      expect(await files()).toEqual([])
    },
  )

  test('leaves what another thread of this process writes, for an hour after it last did', async () => {
    const name = nameOf(process.pid)
    await write(name, 0.9)
    expect(await staging.sweep()).toBe(0)
    await write(name, 1.1)
    expect(await staging.sweep()).toBe(1)
  })

  test('leaves what is not named as its own, such as where a link leads it among the files of somebody', async () => {
    const foreign = ['2024-01-05.jpg', `${deadPid()}-notes.txt`, `${nameOf(deadPid())}.bak`]
    for (const name of foreign) await write(name, 48)
    expect(await staging.sweep()).toBe(0)
    expect((await files()).sort()).toEqual(foreign.sort())
  })

  test('leaves what is kept', async () => {
    await keep()
    expect(await staging.sweep()).toBe(0)
    expect(await files()).toHaveLength(1)
  })

  test('removes a released file that a crash kept from being unlinked', async () => {
    const file = await keep()
    await ledger.transact((tx) => staging.release(tx, ID))
    await expect.poll(files).toEqual([])
    await writeFile(file, FILE)
    await staging.sweep()
    expect(await files()).toEqual([])
  })

  test('is not left to do by close(): what was released is gone by then', async () => {
    const ids = Array.from({ length: 100 }, (_, i): BlobId => `sha256:${String(i).padStart(64, '0')}`)
    for (const id of ids) {
      await using staged = await receive(FILE)
      await ledger.transact((tx) => staging.keep(tx, id, staged))
    }
    await ledger.transact((tx) => {
      for (const id of ids) staging.release(tx, id)
    })
    await staging.close()
    expect(readdirSync(directory)).toEqual([])
  })

  test('leaves files that are not of its making', async () => {
    await writeFile(path.join(directory, 'README'), 'x')
    await writeFile(path.join(directory, 'x-12'), 'x')
    expect(await staging.sweep()).toBe(0)
  })

  test('is done by open(), behind its back', async () => {
    await write(nameOf(deadPid()))
    const second = await DurableStaging.open({ ledger, path: directory })
    await expect.poll(files).toEqual([])
    await second.close()
  })
})

describe('keep() in a commit that fails', () => {
  const keepInVain = async () => {
    await using staged = await receive(FILE)
    const failing = ledger.transact((tx) => {
      staging.keep(tx, ID, staged)
      throw new StorageError('NO_SPACE', { op: 'commit' })
    })
    await expect(failing).rejects.toMatchObject({ code: 'NO_SPACE' })
  }

  test('leaves nothing: what does not fit the disk must not stay on it', async () => {
    await keepInVain()
    expect(await files()).toEqual([])
    expect(staging.usage()).toMatchObject({ bytes: 0, count: 0 })
  })

  test('leaves the file where it may be kept all the same: the ledger is degraded', async () => {
    Object.assign(ledger, { degraded: { code: 'UNAVAILABLE', message: 'EIO' } })
    await keepInVain()
    expect(await files()).toHaveLength(1)
  })
})

describe('open()', () => {
  test('of a kept file that is gone rejects CORRUPT, not `null`', async () => {
    await unlink(await keep())
    await expect(staging.open(ID, { signal: NEVER })).rejects.toMatchObject({ code: 'CORRUPT' })
  })

  test('of a kept file that is too short gives what there is, then rejects CORRUPT', async () => {
    await truncate(await keep(), 10)
    await using opened = await staging.open(ID, { signal: NEVER })
    const read: Uint8Array[] = []
    const reading = async () => {
      for await (const chunk of opened?.body ?? []) read.push(chunk)
    }
    await expect(reading()).rejects.toMatchObject({ code: 'CORRUPT' })
    expect(Buffer.concat(read)).toHaveLength(10)
  })
})

test('releasable() removes a row that leads to no mark, as an earlier version leaves it: it would be found for good', async () => {
  const at = Buffer.alloc(6, 1)
  const astray = Buffer.concat([Buffer.from('R'), at, Buffer.from(ID.slice('sha256:'.length), 'hex')])
  await ledger.transact((tx) => writerOf(tx).put('bytes', astray, Buffer.alloc(0)))
  expect(await staging.releasable({ limit: 1 })).toEqual([])
  await keep()
  await ledger.transact((tx) => {
    writerOf(tx).put('bytes', astray, Buffer.alloc(0))
    staging.markReleasable(tx, ID)
  })
  expect(await staging.releasable({ limit: 9 })).toEqual([ID])
})

describe('small blobs of one commit', () => {
  const SIZE = 1000
  const ids = Array.from({ length: 8 }, (_, i): BlobId => `sha256:${`${i}`.repeat(64)}`)
  const bytesOf = (id: BlobId) => Buffer.alloc(SIZE, id.at(-1))
  const keepAll = async () => {
    const all = await Promise.all(ids.map(async (id) => ({ id, staged: await receive(bytesOf(id)) })))
    await ledger.transact((tx) => {
      for (const { id, staged } of all) staging.keep(tx, id, staged)
    })
  }
  const release = (...released: BlobId[]) =>
    ledger.transact((tx) => {
      for (const id of released) staging.release(tx, id)
    })
  const read = async (id: BlobId, range = {}) => {
    await using opened = await staging.open(id, { signal: NEVER, ...range })
    return opened && Buffer.concat(await Array.fromAsync(opened.body))
  }
  const packs = () =>
    ledger.look((view) => readerOf(view).range('packs', { from: Buffer.of(0), to: Buffer.of(0xfe) }).length)

  test('lie in one pack, and are read by themselves, whole and in part', async () => {
    await keepAll()
    expect(await packs()).toBe(1)
    for (const id of ids) expect(await read(id)).toEqual(bytesOf(id))
    expect(await read(ids[3] as BlobId, { offset: 990, length: 100 })).toEqual(Buffer.alloc(10, '3'))
    expect(staging.usage()).toMatchObject({ bytes: 8 * SIZE, count: 8 })
  })

  test('count as long as the pack is there, which goes with the last of them', async () => {
    await keepAll()
    await release(...ids.slice(0, 4))
    expect(staging.usage()).toMatchObject({ bytes: 8 * SIZE, count: 4 })
    await release(...ids.slice(4))
    expect(staging.usage()).toMatchObject({ bytes: 0, count: 0 })
    expect(await packs()).toBe(0)
  })

  test('are moved once less than a quarter is left, and read as before', async () => {
    await keepAll()
    await release(...ids.slice(0, 7))
    await expect.poll(() => staging.usage().bytes).toBe(SIZE)
    expect(await read(ids[7] as BlobId)).toEqual(bytesOf(ids[7] as BlobId))
    expect(staging.usage()).toMatchObject({ bytes: SIZE, count: 1 })
    await release(ids[7] as BlobId)
    expect(staging.usage()).toMatchObject({ bytes: 0, count: 0 })
  })

  test('are moved by the next sweep where a process ended before it did', async () => {
    await keepAll()
    await staging.close()
    await release(...ids.slice(0, 7))
    expect(staging.usage().bytes).toBe(8 * SIZE)
    staging = await DurableStaging.open({ ledger, path: directory })
    await staging.sweep()
    expect(staging.usage()).toMatchObject({ bytes: SIZE, count: 1 })
    expect(await read(ids[7] as BlobId)).toEqual(bytesOf(ids[7] as BlobId))
  })

  test('let in who waits for room once they were moved', async () => {
    await keepAll()
    await staging.close()
    staging = await DurableStaging.open({ ledger, path: directory, limit: 8 * SIZE })
    const receiving = staging.receive(source(Buffer.alloc(3 * SIZE)), {
      signal: NEVER,
      size: 3 * SIZE,
      whenFull: 'wait',
    })
    await release(...ids.slice(0, 7))
    await using staged = await receiving
    expect(staged.size).toBe(3 * SIZE)
  })

  test('are moved where another staging, which has released them, did not come to it, for who waits here', async () => {
    await keepAll()
    await using waiting = Object.assign(await DurableStaging.open({ ledger, path: directory, limit: 8 * SIZE }), {
      [Symbol.asyncDispose]: () => waiting.close(),
    })
    await staging.close()
    await waiting.sweep()
    const options = { signal: NEVER, size: 3 * SIZE, whenFull: 'wait' } as const
    const receiving = waiting.receive(source(Buffer.alloc(3 * SIZE)), options)
    await release(...ids.slice(0, 7))
    waiting.recheck()
    await using staged = await receiving
    expect(staged.size).toBe(3 * SIZE)
  })

  test('are moved out of every pack but one that is damaged, which fails nobody', async () => {
    const others = ids.map((id): BlobId => `sha256:${'f'.repeat(63)}${id.at(-1)}`)
    await keepAll()
    const [first] = await ledger.look((view) =>
      readerOf(view).range('packs', { from: Buffer.of(0), to: Buffer.of(0xfe) }),
    )
    const [key, value] = first as [Buffer, Buffer]
    value[value.length - 1] = ~(value.at(-1) as number)
    await ledger.transact((tx) => writerOf(tx).put('packs', key, value))
    const all = await Promise.all(others.map(async (id) => ({ id, staged: await receive(bytesOf(id)) })))
    await ledger.transact((tx) => {
      for (const { id, staged } of all) staging.keep(tx, id, staged)
    })
    await release(...ids.slice(0, 7), ...others.slice(0, 7))
    await expect.poll(() => staging.usage().bytes).toBe(9 * SIZE)
    expect(await staging.sweep()).toBe(0)
    expect(await read(others[7] as BlobId)).toEqual(bytesOf(others[7] as BlobId))
  })

  test('that are put again over a damaged pack are kept anew', async () => {
    await keepAll()
    const range = { from: Buffer.of(0), to: Buffer.of(0xfe) }
    const [row] = await ledger.look((view) => readerOf(view).range('packs', range))
    const [key, value] = row as [Buffer, Buffer]
    value[2 * SIZE] = 0
    await ledger.transact((tx) => writerOf(tx).put('packs', key, value))
    const id = ids[2] as BlobId
    expect(await read(id)).not.toEqual(bytesOf(id))
    await using staged = await receive(bytesOf(id))
    await ledger.transact((tx) => staging.keep(tx, id, staged))
    expect(await read(id)).toEqual(bytesOf(id))
    expect(staging.usage()).toMatchObject({ bytes: 9 * SIZE, count: 8 })
  })
})

describe('receive()', () => {
  test('below the reserve of the disk rejects NO_SPACE, small or large, ends its source and leaves nothing', async () => {
    ledger.requireSpace = () => {
      throw new StorageError('NO_SPACE', { op: 'put' })
    }
    for (const chunks of [[Buffer.from('a')], [FILE, FILE]]) {
      const body = source(...chunks)
      await expect(staging.receive(body, { signal: NEVER, whenFull: 'wait' })).rejects.toMatchObject({
        code: 'NO_SPACE',
      })
      expect(body.state.isEnded).toBe(true)
    }
    expect(await files()).toEqual([])
  })

  test('asks for the space of every byte before it is written', async () => {
    const asked: number[] = []
    ledger.requireSpace = (bytes = 0) => void asked.push(bytes)
    await using _ = await receive(FILE, FILE)
    expect(asked).toEqual([FILE.length, 2 * FILE.length])
  })

  test('copies no small chunk that nobody else writes to', async () => {
    const chunk = Buffer.from('owned')
    const options = { signal: NEVER, whenFull: 'wait', owned: true } as const
    await using received = await staging.receive([chunk], options)
    expect(received.bytes).toBe(chunk)
  })

  test.each([false, true])('gathers small chunks to writes of 1 MiB, owned: %s', async (owned) => {
    await using handle = await open(directory)
    const writev = vi.spyOn(Object.getPrototypeOf(handle), 'writev')
    onTestFinished(() => void writev.mockRestore())
    const bytes = Buffer.from(Array.from({ length: 3 * 1024 * 1024 + 5 }, (_, i) => (i * 7) % 251))
    const chunks = Array.from({ length: Math.ceil(bytes.length / 65_536) }, (_, i) =>
      bytes.subarray(i * 65_536, (i + 1) * 65_536),
    )
    await using _ = await staging.receive(chunks, { signal: NEVER, whenFull: 'wait', owned })
    const [name] = await files()
    expect((await readFile(path.join(directory, name as string))).equals(bytes)).toBe(true)
    const written = writev.mock.calls.map(([pieces]) =>
      (pieces as Buffer[]).reduce((sum, { length }) => sum + length, 0),
    )
    expect(written).toEqual([1_048_576, 1_048_576, 1_048_576, 5])
  })

  test('writes the rest of pieces of which the system wrote only some', async () => {
    await using handle = await open(directory)
    const handles = Object.getPrototypeOf(handle) as Pick<typeof handle, 'write' | 'writev'>
    const writev = vi.spyOn(handles, 'writev').mockImplementation(async function (
      this: typeof handle,
      pieces,
      position,
    ) {
      const first = Buffer.concat(pieces as Buffer[]).subarray(0, 70_001)
      return {
        bytesWritten: (await this.write(first, 0, first.length, position)).bytesWritten,
        buffers: pieces as Buffer[],
      }
    })
    onTestFinished(() => void writev.mockRestore())
    const chunks = [Buffer.alloc(100_000, 'a'), Buffer.alloc(0), Buffer.alloc(60_000, 'b'), Buffer.alloc(50_000, 'c')]
    await using _ = await receive(...chunks)
    const [name] = await files()
    expect((await readFile(path.join(directory, name as string))).equals(Buffer.concat(chunks))).toBe(true)
  })

  test('into a directory that is gone rejects and ends its source', async () => {
    await rm(directory, { recursive: true })
    const body = source(FILE, FILE)
    await expect(staging.receive(body, { signal: NEVER, whenFull: 'wait' })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
    expect(body.state.isEnded).toBe(true)
  })

  test('with inlineMax 0 makes a file of the smallest blob', async () => {
    const strict = await DurableStaging.open({ ledger, path: directory, inlineMax: 0 })
    await using _ = await strict.receive(source(Buffer.from('a')), { signal: NEVER, whenFull: 'wait' })
    expect(await files()).toHaveLength(1)
    await strict.close()
  })

  test('makes files that no other user can read', async () => {
    expect((await stat(await keep())).mode & 0o777).toBe(0o600)
  })
})

describe('at the limit', () => {
  const LIMIT = 300_000
  let bounded: DurableStaging
  beforeEach(async () => {
    bounded = await DurableStaging.open({ ledger, path: directory, limit: LIMIT, highWater: 0.5 })
    return () => bounded.close()
  })
  const into = (body: AsyncIterable<Uint8Array>, size?: number, whenFull: 'wait' | 'refuse' = 'wait') =>
    bounded.receive(body, { signal: NEVER, size, whenFull })
  /** Keeps a blob of 100,000 bytes. */
  const fill = async (id: BlobId) => {
    await using staged = await into(source(FILE), FILE.length)
    await ledger.transact((tx) => bounded.keep(tx, id, staged))
  }
  const release = (id: BlobId) => ledger.transact((tx) => bounded.release(tx, id))
  const ids = ['b', 'c', 'd'].map((digit): BlobId => `sha256:${digit.repeat(64)}`)
  const [B, C, D] = ids as [BlobId, BlobId, BlobId]

  test('receive() of a known size reads nothing before there is room', async () => {
    for (const id of ids) await fill(id)
    let reads = 0
    async function* body() {
      reads++
      yield FILE
    }
    const receiving = into(body(), FILE.length)
    await ledger.transact(() => {})
    expect(reads).toBe(0)
    await release(B)
    await using staged = await receiving
    expect(staged.size).toBe(FILE.length)
    expect(reads).toBe(1)
  })

  test('receive() of an unknown size reads no chunk beyond the one it waits with', async () => {
    for (const id of [B, C]) await fill(id)
    let reads = 0
    const waits = Promise.withResolvers<void>()
    bounded.onFull(waits.resolve)
    async function* body() {
      for (; reads < 3; ) {
        reads++
        yield FILE
      }
    }
    const receiving = into(body())
    await waits.promise
    expect(reads).toBe(2)
    expect(bounded.usage()).toMatchObject({ bytes: LIMIT, count: 2, excess: LIMIT / 2 })
    await release(B)
    await release(C)
    await using staged = await receiving
    expect(staged.size).toBe(LIMIT)
    expect(await files()).toHaveLength(1)
  })

  test('receive() that is not to wait rejects STAGING_FULL, ends its source and leaves nothing', async () => {
    for (const id of ids) await fill(id)
    for (const size of [FILE.length, undefined]) {
      const body = source(FILE, FILE)
      const full = { code: 'STAGING_FULL', retryable: true }
      await expect(into(body, size, 'refuse')).rejects.toMatchObject(full)
      if (size === undefined) expect(body.state.isEnded).toBe(true)
    }
    expect(await files()).toHaveLength(3)
    expect(bounded.usage()).toMatchObject({ bytes: LIMIT, count: 3 })
  })

  test('receive() of more than the limit rejects STAGING_FULL as soon as that is known, also in an empty staging', async () => {
    const tooLarge = { code: 'STAGING_FULL', retryable: false, detail: expect.stringContaining('larger than all') }
    await expect(into(source(FILE), LIMIT + 1)).rejects.toMatchObject(tooLarge)
    await expect(into(source(FILE, FILE, FILE, Buffer.from('a')))).rejects.toMatchObject(tooLarge)
    expect(await files()).toEqual([])
    expect(bounded.usage()).toMatchObject({ bytes: 0 })
  })

  test('receive() whose source fails gives its room to who waits', async () => {
    await fill(B)
    const failing = Promise.withResolvers<Uint8Array>()
    async function* body() {
      yield await failing.promise
    }
    const first = into(body(), 150_000)
    const second = into(source(FILE), FILE.length)
    failing.reject(new Error('the disk of the caller'))
    await expect(first).rejects.toThrow('the disk of the caller')
    await using staged = await second
    expect(staged.size).toBe(FILE.length)
  })

  test('what another staging of the same ledger keeps counts, and recheck() tells of what it released', async () => {
    for (const id of ids) await keepIn(staging, id)
    expect(bounded.usage()).toMatchObject({ bytes: LIMIT, count: 3 })
    const receiving = into(source(FILE), FILE.length)
    await ledger.transact((tx) => staging.release(tx, D))
    bounded.recheck()
    await using staged = await receiving
    expect(staged.size).toBe(FILE.length)
  })

  test('recheck() reads nothing while nobody waits: whoever is told of a commit may not be able to', async () => {
    ledger.get = () => {
      throw new StorageError('CORRUPT', { op: 'read' })
    }
    expect(() => bounded.recheck()).not.toThrow()
  })

  test('isAboveHighWater() above half of it, as was asked for', async () => {
    await fill(B)
    expect(bounded.isAboveHighWater()).toBe(false)
    await fill(C)
    expect(bounded.isAboveHighWater()).toBe(true)
    expect(bounded.usage().excess).toBe(50_000)
  })

  test('close() rejects who waits', async () => {
    for (const id of ids) await fill(id)
    const receiving = into(source(FILE), FILE.length)
    await bounded.close()
    await expect(receiving).rejects.toMatchObject({ code: 'CLOSED' })
  })

  test.for([{ limit: 0 }, { limit: Number.NaN }, { highWater: 1.1 }, { highWater: -1 }])(
    'open() with %o rejects INVALID_ARGUMENT',
    async (options) => {
      const opening = DurableStaging.open({ ledger, path: directory, ...options })
      await expect(opening).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    },
  )
})

async function keepIn(other: DurableStaging, id: BlobId): Promise<void> {
  await using staged = await other.receive(source(FILE), { signal: NEVER, whenFull: 'wait' })
  await ledger.transact((tx) => other.keep(tx, id, staged))
}

test('open() of a path below a file rejects', async () => {
  await expect(DurableStaging.open({ ledger, path: '/dev/null/staging' })).rejects.toMatchObject({
    code: 'MISCONFIGURED',
  })
})
