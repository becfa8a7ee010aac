import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readlinkSync } from 'node:fs'
import { chmod, type FileHandle, mkdtemp, open as openFile, readFile, realpath, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { readerOf, Table, writerOf } from '@stored/ledger'
import { TREES } from '@stored/ledger/engine'
import { type Database, open as openEnvironment } from 'lmdb'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { LmdbLedger } from './lmdb-ledger.ts'

let directory: string
const opened: LmdbLedger[] = []

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'stored-lmdb-'))
})

afterEach(async () => {
  for (const ledger of opened.splice(0)) await ledger.close()
  await chmod(directory, 0o700)
  await rm(directory, { recursive: true })
})

async function open(options: { reserve?: number; at?: string } = {}): Promise<LmdbLedger> {
  const ledger = await LmdbLedger.open({ path: options.at ?? directory, reserve: options.reserve ?? 0 })
  opened.push(ledger)
  return ledger
}

const row = Buffer.from('row')
const putRow = (ledger: LmdbLedger, value: string) =>
  ledger.transact((tx) => writerOf(tx).put('keys', row, Buffer.from(value)))

/** Opens the file behind the ledger's back. */
async function tamper(tree: string, change: (db: Database<Buffer, Buffer>) => Promise<unknown>): Promise<void> {
  const options = { encoding: 'binary', keyEncoding: 'binary' } as const
  const environment = openEnvironment<Buffer, Buffer>({
    path: path.join(directory, 'index.mdb'),
    maxDbs: 8,
    ...options,
  })
  await change(environment.openDB<Buffer, Buffer>({ name: tree, ...options }))
  await environment.close()
}

const TXNID = 152
/** LMDB counts its commits. @see struct MDB_meta in mdb.c: `mm_txnid`, in each of the first two pages */
async function commits(): Promise<number> {
  const file = await readFile(path.join(directory, 'index.mdb'))
  return Math.max(...[0, 4096].map((page) => Number(file.readBigUInt64LE(page + TXNID))))
}

describe('LmdbLedger.open()', () => {
  test('makes its directory and the ones above it', async () => {
    const at = path.join(directory, 'a/b')
    await open({ at })
    expect((await stat(at)).isDirectory()).toBe(true)
  })

  test('of a directory that this process has open rejects CONFLICT, by another name of it too', async () => {
    await open()
    await expect(open()).rejects.toMatchObject({ code: 'CONFLICT' })
    await expect(open({ at: path.join(directory, '../', path.basename(directory)) })).rejects.toMatchObject({
      code: 'CONFLICT',
    })
  })

  test('of a directory that another copy of this package has open in this process rejects CONFLICT', async () => {
    await open()
    const copy: typeof import('./lmdb-ledger.ts') = await import('./lmdb-ledger.ts?copy' as string)
    expect(copy.LmdbLedger).not.toBe(LmdbLedger)
    await expect(copy.LmdbLedger.open({ path: directory })).rejects.toMatchObject({ code: 'CONFLICT' })
  })

  test('twice at the same moment opens one and rejects the other', async () => {
    const outcomes = await Promise.allSettled([open(), open()])
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
  })

  test('goes on with the sequence number of the last process', async () => {
    const former = await open()
    const { seq } = await putRow(former, '1')
    await former.close()
    expect(await putRow(await open(), '2')).toMatchObject({ seq: seq + 1, position: String(seq + 1) })
  })

  test.skipIf(process.getuid?.() === 0)('of a directory it must not write to rejects PERMISSION_DENIED', async () => {
    await chmod(directory, 0o500)
    await expect(open()).rejects.toMatchObject({ code: 'PERMISSION_DENIED' })
  })

  test('of a path below a file rejects, as a mistake of the configuration', async () => {
    await expect(open({ at: '/dev/null/store' })).rejects.toMatchObject({ code: 'MISCONFIGURED' })
  })

  test.runIf(process.platform === 'linux')(
    'flushes the names of its files, also in a directory that was there',
    async () => {
      await using handle = await openFile(directory)
      const handles: Pick<FileHandle, 'sync'> = Object.getPrototypeOf(handle)
      const flushed: string[] = []
      const { sync } = handles
      const spy = vi.spyOn(handles, 'sync').mockImplementation(async function (this: FileHandle) {
        flushed.push(readlinkSync(`/proc/self/fd/${this.fd}`))
        await sync.call(this)
      })
      await open().finally(() => spy.mockRestore())
      expect(flushed).toEqual([await realpath(directory)])
    },
  )

  test('of a newer format rejects INCOMPATIBLE, naming both, and leaves the store free', async () => {
    await (await open()).close()
    const format = (version: number) => (db: Database<Buffer, Buffer>) =>
      db.put(Buffer.from('format'), Buffer.from([0, 0, 0, 0, 0, version]))
    await tamper('meta', format(4))
    await expect(open()).rejects.toMatchObject({
      code: 'INCOMPATIBLE',
      message: expect.stringMatching(/format 4.*reads 3: use the version/),
    })
    await tamper('meta', format(3))
    await expect(open()).resolves.toBeInstanceOf(LmdbLedger)
  })
})

describe('LmdbLedger', () => {
  test('below its reserve opens and commits, and requireSpace() of anything is NO_SPACE', async () => {
    const ledger = await open({ reserve: 2 ** 52 })
    expect(() => ledger.requireSpace(1)).toThrow(expect.objectContaining({ code: 'NO_SPACE' }))
    await putRow(ledger, 'on the reserve')
    expect(ledger.get('keys', row, String)).toBe('on the reserve')
  })

  test('64 transact() at once share one commit', async () => {
    const ledger = await open()
    await putRow(ledger, 'first')
    const before = await commits()
    const results = await Promise.all(Array.from({ length: 64 }, (_, i) => putRow(ledger, String(i))))
    const made = (await commits()) - before
    expect(made).toBeGreaterThanOrEqual(1)
    expect(made).toBeLessThanOrEqual(2)
    expect(new Set(results.map(({ seq }) => seq)).size).toBe(64)
  })

  test('1,000 transact() at once take several commits, in their order', async () => {
    const ledger = await open()
    await putRow(ledger, 'first')
    const before = await commits()
    const results = await Promise.all(Array.from({ length: 1000 }, (_, i) => putRow(ledger, String(i))))
    expect((await commits()) - before).toBeGreaterThanOrEqual(4)
    const seqs = results.map(({ seq }) => seq)
    expect(seqs).toEqual([...new Set(seqs)].sort((a, b) => a - b))
    expect(ledger.get('keys', row, String)).toBe('999')
  })

  test('keeps the tree of a table that it has never heard of, beside those that it had', async () => {
    const former = await open()
    await putRow(former, 'kept')
    const objects = new Table<string>(former, 'objects', 'O')
    const key = objects.key(row)
    expect(await former.look((view) => objects.get(key, readerOf(view)))).toBeUndefined()
    await former.transact((tx) => objects.put(tx, key, 'an object'))
    await former.close()

    const ledger = await open()
    expect(() => ledger.get('objects', key, String)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
    const again = new Table<string>(ledger, 'objects', 'O')
    expect((await ledger.look((view) => again.get(key, readerOf(view))))?.value).toBe('an object')
    expect(ledger.get('keys', row, String)).toBe('kept')
  })

  test('has the tree of a table that was made while a commit was under way, for plans and looks', async () => {
    const ledger = await open()
    const first = putRow(ledger, 'first')
    await setImmediate()
    const objects = new Table<string>(ledger, 'objects', 'O')
    const key = objects.key(row)
    const plan = ledger.transact((tx) => objects.put(tx, key, 'an object'))
    const look = ledger.look((view) => objects.get(key, readerOf(view))?.value)
    new Table<string>(ledger, 'others', 'O')
    await Promise.all([first, plan])
    expect(await look).toBe('an object')
  })

  test('has room for 64 trees: one more is refused where its table is made, and harms nothing', async () => {
    const ledger = await open()
    const make = (i: number) => new Table<string>(ledger, `tree ${i}`, 'O')
    const tables = Array.from({ length: 64 - TREES.length }, (_, i) => make(i))
    await putRow(ledger, 'beside 64 trees')
    expect(() => make(64)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining('64 trees') }),
    )
    for (const table of [tables[0], tables.at(-1), make(0)] as Table<string>[]) {
      const key = table.key(row)
      await ledger.transact((tx) => table.put(tx, key, table.tree))
      expect(await ledger.look((view) => table.get(key, readerOf(view))?.value)).toBe(table.tree)
    }
    expect(ledger.degraded).toBeNull()
  })

  test('keeps to its number of events when each process records only one', async () => {
    const recorded: string[] = []
    const kept: string[] = []
    for (let i = 0; i < 7; i++) {
      const ledger = await LmdbLedger.open({ path: directory, reserve: 0, keepEvents: 2 })
      const event = { type: 'delete', checksum: `sha256:${'0'.repeat(64)}`, keys: [], time: 0 } as const
      recorded.push((await ledger.transact((tx) => ledger.record(tx, event))).position)
      const pages = await Array.fromAsync(ledger.events({ since: 0, signal: new AbortController().signal }))
      kept.splice(0, kept.length, ...pages.flat().map(({ position }) => position))
      await ledger.close()
    }
    expect(kept).toEqual(recorded.slice(-kept.length))
    expect([2, 3]).toContain(kept.length)
  })

  test('rows of a range stay what they were, whatever is read and written after them', async () => {
    const ledger = await open()
    const rowOf = (i: number, size: number) => [Buffer.from(`k${i}`), Buffer.alloc(size, i)] as const
    // Empty, small, and larger than what lmdb-js reads into at first.
    const written = [0, 5, 500, 100_000].map((size, i) => rowOf(i, size))
    const put = (rows: readonly (readonly [Buffer, Buffer])[]) =>
      ledger.transact((tx) => {
        for (const [key, value] of rows) writerOf(tx).put('keys', key, value)
      })
    await put(written)
    const all = { from: Buffer.from('k'), to: Buffer.from('l') }
    const kept = await ledger.look((view) => readerOf(view).range('keys', all))
    await put(written.map(([key, value]) => [key, Buffer.alloc(value.length, 0xff)] as const))
    await ledger.look((view) => readerOf(view).range('keys', all))
    for (const [key] of written) ledger.get('keys', key, String)
    const shown = (rows: readonly (readonly [Buffer, Buffer])[]) =>
      rows.map(([key, value]) => [key.toString(), value.length, ...new Set(value)])
    expect(shown(kept)).toEqual(shown(written))
  })

  test('a damaged row is CORRUPT to its readers, and to a commit that reads it', async () => {
    const former = await open()
    const table = new Table<{ size: number }>(former, 'keys', 'X')
    const key = table.key(Buffer.from('p'))
    await former.transact((tx) => table.put(tx, key, { size: 1 }))
    await former.close()
    await tamper('keys', (db) => {
      const value = Buffer.from(db.get(key) as Buffer)
      value[value.length - 2] = (value[value.length - 2] as number) ^ 1
      return db.put(key, value)
    })

    const ledger = await open()
    const damaged = new Table<{ size: number }>(ledger, 'keys', 'X')
    const look = ledger.look((view) => damaged.get(key, readerOf(view)))
    await expect(look).rejects.toMatchObject({ code: 'CORRUPT' })
    const failing = ledger.transact((tx) => {
      writerOf(tx).put('keys', row, row)
      damaged.get(key, readerOf(tx))
    })
    await expect(failing).rejects.toMatchObject({ code: 'CORRUPT' })
    expect(ledger.get('keys', row, String)).toBeUndefined()
  })

  test('close() waits for what was handed in, and reads after it are CLOSED', async () => {
    const ledger = await open()
    const putting = putRow(ledger, 'in time')
    await ledger.close()
    await expect(putting).resolves.toMatchObject({ seq: expect.any(Number) })
    expect(() => ledger.get('keys', row, String)).toThrow(expect.objectContaining({ code: 'CLOSED' }))
    expect(() => ledger.range('keys', { from: row, to: row })).toThrow(expect.objectContaining({ code: 'CLOSED' }))
    expect((await open()).get('keys', row, String)).toBe('in time')
  })
})

/** A process that commits, says so, and is killed by the signal it sends itself, before anything can be tidied up. */
const CHILD = `
  import { writeSync } from 'node:fs'
  import { writerOf } from ${JSON.stringify(import.meta.resolve('@stored/ledger'))}
  import { LmdbLedger } from ${JSON.stringify(new URL('lmdb-ledger.ts', import.meta.url).href)}
  const ledger = await LmdbLedger.open({ path: process.argv[1], reserve: 0 })
  for (let i = 0; i < 20; i++) {
    await ledger.transact((tx) => writerOf(tx).put('keys', Buffer.from('row'), Buffer.from(String(i))))
    writeSync(1, 'ack ' + i + '\\n')
  }
  process.kill(process.pid, 'SIGKILL')
`
/** A process that opens the store and closes it, again and again. */
const OPENER = `
  import { LmdbLedger } from ${JSON.stringify(new URL('lmdb-ledger.ts', import.meta.url).href)}
  for (let i = 0; i < 10; i++) await (await LmdbLedger.open({ path: process.argv[1], reserve: 0 })).close()
`
const hasStrace = spawnSync('strace', ['-f', 'true']).status === 0

test.skipIf(!hasStrace)(
  'LmdbLedger.open() at the moment another process closes the store, as the last one, opens it',
  async () => {
    await (await open()).close()
    // LMDB takes its file lock for itself alone, then destroys what the file holds.
    const command = ['-f', '-o', '/dev/null', '-e', 'trace=fcntl', '-e', 'inject=fcntl:delay_exit=10000']
    const other = spawn('strace', [...command, process.execPath, '--input-type=module', '-e', OPENER, directory])
    let ended = false
    const closed = once(other, 'close').finally(() => {
      ended = true
    })
    while (!ended) {
      const ledger = await LmdbLedger.open({ path: directory, reserve: 0 })
      await ledger.close()
    }
    expect(await closed).toEqual([0, null])
  },
)

describe('the promise of transact()', () => {
  test('resolves for rows that survive kill -9', async () => {
    const { signal, stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', CHILD, directory], {
      encoding: 'utf8',
    })
    expect(signal).toBe('SIGKILL')
    expect(stdout.trim().split('\n').at(-1)).toBe('ack 19')
    expect((await open()).get('keys', row, String)).toBe('19')
  })

  test('leaves the store to a process that opens it while another has it open', async () => {
    const child = spawn(process.execPath, [
      '--input-type=module',
      '-e',
      CHILD.replace(/process\.kill.*/, 'setInterval(() => {}, 1000)'),
      directory,
    ])
    let said = ''
    for await (const chunk of child.stdout) {
      said += chunk
      if (said.includes('ack 19')) break
    }
    const ledger = await open()
    expect(ledger.get('keys', row, String)).toBe('19')
    await putRow(ledger, 'ours')
    child.kill('SIGKILL')
    expect(ledger.get('keys', row, String)).toBe('ours')
  })

  test.skipIf(!hasStrace)('holds while another process opens the store, however long that takes', async () => {
    const ledger = await open()
    await putRow(ledger, '0')
    // LMDB reads which commit is the newest, maps its file, and tells all processes what it read.
    const slowly = ['-P', path.join(directory, 'index.mdb'), '-e', 'inject=mmap:delay_exit=10000']
    const command = ['-f', '-o', '/dev/null', '-e', 'trace=mmap', ...slowly]
    const opener = spawn('strace', [...command, process.execPath, '--input-type=module', '-e', OPENER, directory])
    let ended = false
    const closed = once(opener, 'close').finally(() => {
      ended = true
    })
    for (let i = 1; !ended; i++) {
      await putRow(ledger, String(i))
      ledger.refresh()
      expect(ledger.get('keys', row, String)).toBe(String(i))
    }
    expect(await closed).toEqual([0, null])
  })

  test.skipIf(!hasStrace)('resolves only after the data was flushed', async () => {
    const log = path.join(directory, 'strace')
    const command = [
      '-f',
      '-o',
      log,
      '-e',
      'trace=fdatasync,fsync,msync,write',
      process.execPath,
      '--input-type=module',
      '-e',
      CHILD,
      directory,
    ]
    spawnSync('strace', command)
    const lines = (await readFile(log, 'utf8')).split('\n')
    const acks = lines.flatMap((line, i) => (line.includes('write(1, "ack ') ? [i] : []))
    expect(acks).toHaveLength(20)
    for (const [i, ack] of acks.entries()) {
      const between = lines.slice(acks[i - 1] ?? 0, ack)
      expect(
        between.some((line) => /(fdatasync|fsync|msync)(\(| resumed).*= 0$/.test(line)),
        `a flush before ack ${i}`,
      ).toBe(true)
    }
  })
})

describe('a group of plans', () => {
  const clocks = { wallMs: 0, threadMs: 0 }
  const sleep = (ms: number) => {
    clocks.wallMs += ms
  }
  const work = (ms: number) => {
    clocks.wallMs += ms
    clocks.threadMs += ms
  }
  beforeEach(() => {
    vi.spyOn(performance, 'now').mockImplementation(() => clocks.wallMs)
    if (!process.threadCpuUsage) return
    const spent = (before?: NodeJS.CpuUsage) => ({ user: clocks.threadMs * 1000 - (before?.user ?? 0), system: 0 })
    vi.spyOn(process, 'threadCpuUsage').mockImplementation(spent)
  })
  afterEach(() => void vi.restoreAllMocks())

  /** How many commits these plans make, which are handed in at once. */
  async function groupsOf(...plans: (() => void)[]): Promise<number> {
    const ledger = await open()
    await putRow(ledger, 'first')
    const before = await commits()
    await Promise.all(
      plans.map((plan, i) =>
        ledger.transact((tx) => {
          plan()
          writerOf(tx).put('keys', Buffer.from(`row ${i}`), row)
        }),
      ),
    )
    return (await commits()) - before
  }
  const quick = () => {}

  // Node.js 22 tells no processor time of a thread.
  test.runIf(process.threadCpuUsage)('is not cut because its thread had to wait for a processor', async () => {
    expect(await groupsOf(() => sleep(10), ...Array.from({ length: 63 }, () => quick))).toBe(1)
  })

  test.runIf(process.threadCpuUsage)('is cut behind 5 ms of work', async () => {
    expect(
      await groupsOf(
        () => work(6),
        () => work(6),
        quick,
      ),
    ).toBe(3)
  })

  test('is cut behind 25 ms, whatever they were spent on', async () => {
    expect(await groupsOf(() => sleep(30), quick)).toBe(2)
  })
})
