import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import { readerOf } from '@stored/ledger'
import { testDirectory } from '@stored/testing/directory'
import { beforeEach, describe, expect, test } from 'vitest'
import { isPageWrite, isPanic, mapLmdbError } from './environment.ts'
import { LmdbLedger } from './lmdb-ledger.ts'

let directory: string
beforeEach(async () => {
  directory = await testDirectory()
})

const strace = whyNoStrace()
function whyNoStrace(): string | null {
  const { error, status } = spawnSync('strace', ['-f', 'true'])
  if (error) return 'strace is not installed'
  return status === 0 ? null : 'strace must not trace here'
}

interface Report {
  /** Of two commits at once, and of one after them: `null` when it was acknowledged. */
  readonly commits: ({ code: string; ambiguous: boolean; retryable: boolean; message: string } | null)[]
  /** What was there before, and what the commits were to write. */
  /** Of a plan of the failed group that threw. */
  readonly thrown: unknown
  /** Of a plan in line behind that group. */
  readonly late: unknown
  readonly rows: (string | null)[] | string
  readonly range: number
  readonly requireSpace: string | null
  readonly degraded: { code: string } | null
  readonly heard: { code: string }[]
  readonly unhandled: string[]
}

const CHILD = `
  import { writeSync } from 'node:fs'
  import { readerOf, writerOf } from ${JSON.stringify(import.meta.resolve('@stored/ledger'))}
  import { LmdbLedger } from ${JSON.stringify(new URL('lmdb-ledger.ts', import.meta.url).href)}
  const unhandled = []
  process.on('unhandledRejection', (error) => unhandled.push(String(error)))
  const ledger = await LmdbLedger.open({ path: process.argv[1], reserve: 0 })
  let tree = 'keys'
  const put = (key) => ledger.transact((tx) => writerOf(tx).put(tree, Buffer.from(key), Buffer.from(key)))
  await put('before')
  const heard = []
  ledger.onDegraded((failure) => heard.push(failure))
  ledger.onDegraded((failure) => heard.push(failure))()
  writeSync(1, 'ready\\n')
  await new Promise((resolve) => process.stdin.once('data', resolve))
  process.stdin.destroy()
  tree = process.argv[2]
  ledger.useTree(tree)
  const throwing = () => ledger.transact(() => {
    // Cuts the group off.
    for (const end = performance.now() + 30; performance.now() < end; );
    throw new Error('by what was never written')
  })
  const group = [put('a'), put('b'), throwing(), put('late')]
  const settled = [...(await Promise.allSettled(group)), ...(await Promise.allSettled([put('c')]))]
  const [first, second, thrown, late, next] = settled.map(({ reason }) =>
    reason ? { code: reason.code, ambiguous: reason.ambiguous, retryable: reason.retryable, message: reason.message } : null,
  )
  const commits = [first, second, next]
  const look = (read) => ledger.look((view) => read(readerOf(view))).catch(({ code }) => code)
  const rows = await look((reader) => ['before', 'a', 'b', 'c'].map((key) => reader.get(tree, Buffer.from(key), String) ?? null))
  const range = await look((reader) => reader.range('keys', { from: Buffer.from('before'), to: Buffer.from('c') }).length)
  let requireSpace = null
  try {
    ledger.requireSpace(1)
  } catch (error) {
    requireSpace = error.code
  }
  const { degraded } = ledger
  await ledger.close()
  writeSync(1, JSON.stringify({ commits, thrown, late, rows, range, requireSpace, degraded, heard, unhandled }))
`

/** Two commits at once and one after them, while a call of the system fails once. Its trace is left beside the store. */
async function commitWhile(call: string, error: string | null, nth = 1, tree = 'keys'): Promise<Report> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', CHILD, path.join(directory, 'store'), tree], {
    stdio: ['pipe', 'pipe', 'ignore'],
    env: { ...process.env, UV_THREADPOOL_SIZE: '1' },
  })
  const ended = once(child, 'close')
  let said = ''
  child.stdout.on('data', (chunk) => {
    said += chunk
  })
  await once(child.stdout, 'data')
  const options = ['-f', '-o', path.join(directory, 'strace'), '-e', `trace=${call}`]
  if (error !== null) options.push('-e', `inject=${call}:error=${error}:when=${nth}`)
  const tracer = spawn('strace', [...options, '-p', String(child.pid)], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const traced = once(tracer, 'close')
  await once(tracer.stderr, 'data')
  child.stdin.end('go\n')
  const [code] = await ended
  await traced
  expect(code).toBe(0)
  return JSON.parse(said.slice(said.indexOf('{')))
}

/** Which write of the first commit is the one that publishes it: that of a part of a page. */
async function findPublishing(): Promise<number> {
  await commitWhile('pwrite64', null)
  const writes = (await readFile(path.join(directory, 'strace'), 'utf8')).split('\n')
  await rm(path.join(directory, 'store'), { recursive: true })
  return writes.findIndex((line) => / = 128$/.test(line)) + 1
}

async function rowsAfterwards(): Promise<(string | null)[]> {
  const ledger = await LmdbLedger.open({ path: path.join(directory, 'store'), reserve: 0 })
  const rows = await ledger.look((view) =>
    ['before', 'a', 'b', 'c'].map((key) => readerOf(view).get('keys', Buffer.from(key), String) ?? null),
  )
  await ledger.close()
  return rows
}

const MAKER = `
  import { LmdbLedger } from ${JSON.stringify(new URL('lmdb-ledger.ts', import.meta.url).href)}
  process.on('unhandledRejection', (error) => console.log('unhandled', error))
  await LmdbLedger.open({ path: process.argv[1], reserve: 0 }).catch(({ code }) => console.log(code))
`

test.skipIf(strace !== null)('LmdbLedger.open() that cannot flush what it makes rejects UNAVAILABLE', () => {
  const injection = ['-f', '-o', '/dev/null', '-e', 'inject=fdatasync:error=EIO']
  const maker = [process.execPath, '--input-type=module', '-e', MAKER, path.join(directory, 'store')]
  const { stdout } = spawnSync('strace', [...injection, ...maker], { encoding: 'utf8' })
  expect(stdout).toBe('UNAVAILABLE\n')
})

const REFUSED = {
  code: 'UNAVAILABLE',
  ambiguous: false,
  retryable: false,
  message: expect.stringMatching(/open the store again/),
}

describe.skipIf(strace !== null)(`a commit that fails${strace ? ` (${strace})` : ''}`, () => {
  test('as pages are written left nothing, may be repeated, and the next one is made', async () => {
    const report = await commitWhile('pwrite64', 'EIO')
    const rejection = expect.objectContaining({ code: 'UNAVAILABLE', ambiguous: false, retryable: true })
    expect(report.commits).toEqual([rejection, rejection, null])
    expect(report.thrown).toEqual(rejection)
    expect(report.late).toBeNull()
    expect(report.rows).toEqual(['before', null, null, 'c'])
    expect(report).toMatchObject({ degraded: null, heard: [], requireSpace: null, unhandled: [] })
    expect(await rowsAfterwards()).toEqual(report.rows)
  })

  test('as a tree is made for it fails the plans in line, and the next one makes the tree', async () => {
    const report = await commitWhile('pwrite64', 'EIO', 1, 'objects')
    const rejection = expect.objectContaining({ code: 'UNAVAILABLE', ambiguous: false, retryable: true })
    expect(report.commits).toEqual([rejection, rejection, null])
    expect(report.rows).toEqual([null, null, null, 'c'])
    expect(report).toMatchObject({ degraded: null, heard: [], unhandled: [] })
  })

  test('as it flushes a tree that it made is not ambiguous, as no plan ran; reads of all others go on', async () => {
    const report = await commitWhile('fdatasync', 'EIO', 1, 'objects')
    const rejection = expect.objectContaining({ code: 'UNAVAILABLE', ambiguous: false })
    expect(report.commits).toEqual([rejection, rejection, REFUSED])
    expect(report).toMatchObject({ rows: 'INVALID_ARGUMENT', range: 1, heard: [report.degraded] })
  })

  test.each(['ENOSPC', 'EDQUOT'])('with %s as pages are written is NO_SPACE', async (error) => {
    const report = await commitWhile('pwrite64', error)
    expect(report.commits[0]).toMatchObject({ code: 'NO_SPACE', ambiguous: false })
    expect(report.degraded).toBeNull()
  })

  test('as it is flushed left nothing; no other is made until the ledger is opened anew, and reads go on', async () => {
    const report = await commitWhile('fdatasync', 'EIO')
    const rejection = expect.objectContaining({ code: 'UNAVAILABLE', ambiguous: false })
    expect(report.commits).toEqual([rejection, rejection, REFUSED])
    expect(report.thrown).toEqual(rejection)
    expect(report.late).toEqual(REFUSED)
    expect(report.rows).toEqual(['before', null, null, null])
    expect(report).toMatchObject({ degraded: { code: 'UNAVAILABLE' }, requireSpace: 'UNAVAILABLE', unhandled: [] })
    expect(report.heard).toEqual([report.degraded])
    expect(await rowsAfterwards()).toEqual(report.rows)
  })

  test('as it is published may be there or not, and says so; reads go on', async () => {
    const report = await commitWhile('pwrite64', 'EIO', await findPublishing())
    const rejection = expect.objectContaining({ code: 'UNAVAILABLE', ambiguous: true })
    expect(report.commits).toEqual([rejection, rejection, REFUSED])
    expect(report.thrown).toEqual(rejection)
    expect(report.late).toEqual(REFUSED)
    expect(report.rows[0]).toBe('before')
    expect(report.rows[1]).toBe(report.rows[2] === null ? null : 'a')
    expect(report.range).toBe(1)
    expect(report.heard).toEqual([report.degraded])
    expect(report.unhandled).toEqual([])
    expect(await rowsAfterwards()).toEqual(report.rows)
  })
})

describe('what LMDB says', () => {
  const panic = Object.assign(new Error('MDB_PANIC: Update of meta page failed'), { code: -30795 })
  const page = Object.assign(new Error('Input/output error: Attempting to write page at position 8192, size 4096'), {
    code: 5,
  })

  test('of a page is told from what it says of a flush', () => {
    expect(isPageWrite(page)).toBe(true)
    expect(isPageWrite(Object.assign(new Error('Input/output error'), { code: 5 }))).toBe(false)
  })

  test('of giving up is UNAVAILABLE', () => {
    expect(isPanic(panic)).toBe(true)
    expect(mapLmdbError(panic, { op: 'read' })).toMatchObject({ code: 'UNAVAILABLE', cause: panic })
  })

  test.each([
    [5, 'UNAVAILABLE'],
    [28, 'NO_SPACE'],
    [13, 'PERMISSION_DENIED'],
    [24, 'UNAVAILABLE'],
    [-30796, 'CORRUPT'],
    [-30781, 'INTERNAL'],
  ])('with the number %i is %s', (code, expected) => {
    expect(mapLmdbError(Object.assign(new Error('it failed'), { code }), { op: 'commit' }).code).toBe(expected)
  })
})
