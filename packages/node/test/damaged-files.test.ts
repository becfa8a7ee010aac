import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, open, stat } from 'node:fs/promises'
import path from 'node:path'
import { createInterface } from 'node:readline'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Answer, Harm } from './damaged-files.child.ts'
import { openAt, type TempDirectory, temp } from './temp.ts'

/*
 * What a damaged file does to a process that opens the store, or has it open: always in a process of its own, which must end by itself.
 * A signal is what LMDB ends with where it takes what it reads for sound.
 */

const CHILD = new URL('damaged-files.child.ts', import.meta.url).pathname
const KEYS = 120
const PAGE = 4096
const GATES = ['opening.mdb', 'committing.mdb'] as const
const FILES = ['index.mdb', ...GATES] as const

let dir: TempDirectory
let base: string
/** Of all that LMDB has in the index, in bytes. Behind it is room that was made before it is needed. */
let end: number

beforeAll(async () => {
  dir = await temp()
  base = path.join(dir.path, 'base')
  const store = await openAt(base, { sync: false })
  // So that there are pages on every level of its trees, and values on pages of their own.
  await Promise.all(
    Array.from({ length: KEYS }, (_, i) => store.put(Buffer.from(`${i}`.repeat(i * 20)), { key: `k/${i}` })),
  )
  await store.close()
  end = await endOfIndex(base)
})
afterAll(() => dir[Symbol.asyncDispose]())

/** @see MDB_meta in mdb.c: `mm_last_pg`, in each of the first two pages */
async function endOfIndex(directory: string): Promise<number> {
  await using handle = await open(path.join(directory, 'store/index.mdb'))
  const metas = Buffer.alloc(2 * PAGE)
  await handle.read(metas, 0, metas.length, 0)
  return (Math.max(...[0, PAGE].map((page) => Number(metas.readBigUInt64LE(page + 144)))) + 1) * PAGE
}

function start(...args: readonly string[]): ChildProcess {
  return spawn(process.execPath, [CHILD, ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
}

interface Said extends Partial<Answer> {
  readonly trying?: Harm
  readonly open?: true
  readonly closed?: true
}

async function* linesOf(child: ChildProcess): AsyncGenerator<Said> {
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) yield JSON.parse(line)
}

/** What one process answers that opens a copy of the store after the other, each damaged in another way. */
async function openEach(harms: readonly Harm[]): Promise<Answer['answer'][]> {
  const child = start('open', path.join(await copyOf(base), 'base'), JSON.stringify(harms))
  const ended = once(child, 'exit')
  const said = await Array.fromAsync(linesOf(child))
  const [code, signal] = await ended
  expect({ code, signal, last: said.at(-1) }).toMatchObject({ code: 0, signal: null, last: { harm: harms.at(-1) } })
  return said.flatMap(({ answer }) => answer ?? [])
}

async function copyOf(directory: string): Promise<string> {
  const copy = path.join(dir.path, `copy-${Math.random()}`)
  await cp(directory, path.join(copy, 'base'), { recursive: true })
  return copy
}

const corrupt = (file: string) => ({ code: 'CORRUPT', message: expect.stringContaining(file) })

describe('opening.mdb and committing.mdb, which hold nothing', () => {
  const HARMS: readonly Harm[] = GATES.flatMap((file) => [
    ...[0, 1, 100, PAGE, 2 * PAGE - 1].map((at): Harm => ({ file, how: 'cut', at })),
    ...[0, PAGE].map((at): Harm => ({ file, how: 'garbage', at })),
    { file, how: 'bytes', at: 0, hex: '00'.repeat(2 * PAGE) },
    { file, how: 'removed' },
  ])

  test('are as good as new, however they are damaged', async () => {
    expect(await openEach(HARMS)).toEqual(HARMS.map(() => 'well'))
  })
})

describe('the index', () => {
  test('cut off at any length is CORRUPT; cut off behind its end it is whole', async () => {
    const [whole] = fc.sample(fc.integer({ min: end, max: (await stat(path.join(base, 'store/index.mdb'))).size }), 1)
    const cuts = [1, 100, PAGE - 1, PAGE, 2 * PAGE, end - 1, ...fc.sample(fc.integer({ min: 1, max: end - 1 }), 10)]
    const harms = [...cuts, whole as number].map((at): Harm => ({ file: 'index.mdb', how: 'cut', at }))
    expect(await openEach(harms)).toEqual([...cuts.map(() => corrupt('index.mdb')), 'well'])
  })

  test('with garbage in place of any of its pages never ends the process: it is CORRUPT, or the page was free or held one value', async () => {
    const pages = [0, 1, ...fc.sample(fc.integer({ min: 2, max: end / PAGE - 1 }), 30)]
    const harms = pages.map((page, seed): Harm => ({ file: 'index.mdb', how: 'garbage', at: page * PAGE, seed }))
    const answers = await openEach(harms)
    expect(answers.slice(0, 2)).toEqual([corrupt('index.mdb'), corrupt('index.mdb')])
    for (const answer of answers)
      if (typeof answer === 'object') expect(answer.code).toMatch(/^(CORRUPT|CHECKSUM_MISMATCH)$/)
    expect(answers).not.toContain('wrong')
  })

  // Where each number lies in the first two pages: MDB_page and MDB_meta in mdb.c.
  const NUMBERS = {
    'flags of the page': 18,
    version: 28,
    'page size': 48,
    flags: 52,
    'root of free pages': 88,
    'root of trees': 136,
    'last page': 144,
    commit: 152,
  }

  test.each(Object.entries(NUMBERS))('whose %s says anything never ends the process', async (_, offset) => {
    const bytes = offset === 18 || offset === 52 ? 2 : offset < 80 ? 4 : 8
    const harms = [0, PAGE].flatMap((page) =>
      ['00', 'ff', '7e'].map(
        (hex): Harm => ({ file: 'index.mdb', how: 'bytes', at: page + offset, hex: hex.repeat(bytes) }),
      ),
    )
    for (const answer of await openEach(harms))
      if (typeof answer === 'object') expect(answer).toEqual(corrupt('index.mdb'))
  })
})

describe('a lock file that nobody holds', () => {
  test('is made anew, however it is damaged', async () => {
    const harms = FILES.map((file) => `${file}-lock`).flatMap((file): Harm[] => [
      ...[0, 1, PAGE].map((at): Harm => ({ file, how: 'cut', at })),
      { file, how: 'garbage', at: 0 },
      { file, how: 'removed' },
    ])
    expect(await openEach(harms)).toEqual(harms.map(() => 'well'))
  })
})

test('something that is no file, in place of any of these files, is CORRUPT, and named', async () => {
  const files = FILES.flatMap((file) => [file, `${file}-lock`])
  const harms = files.flatMap((file): Harm[] => [
    { file, how: 'directory' },
    { file, how: 'pipe' },
  ])
  expect(await openEach(harms)).toEqual(harms.map(({ file }) => corrupt(file)))
})

describe('a process that has the store open', () => {
  const HARMS: readonly Harm[] = ['index.mdb', 'index.mdb-lock'].flatMap((file): Harm[] => [
    { file, how: 'cut', at: 0 },
    { file, how: 'cut', at: PAGE },
    { file, how: 'removed' },
    { file, how: 'replaced' },
  ])

  /** What it says, from the opening of the store to its end. */
  async function harmWhileOpen(harm: Harm): Promise<Said[]> {
    const child = start('keep', path.join(await copyOf(base), 'base'))
    const ended = once(child, 'exit')
    const said: Said[] = []
    for await (const one of linesOf(child)) {
      said.push(one)
      if (one.open) child.stdin?.end(JSON.stringify(harm))
    }
    expect(await ended).toEqual([0, null])
    return said
  }

  test.each(HARMS)('as $file is $how ($at) says so of all that is asked of it, and ends by itself', async (harm) => {
    const said = await harmWhileOpen(harm)
    const answer = corrupt(harm.file)
    expect(said).toEqual([{ open: true }, ...Array(3).fill({ harm, answer }), { closed: true }])
  })

  test.each(GATES)('commits nothing once the locks of %s are cut off, and ends by itself', async (gate) => {
    const harm: Harm = { file: `${gate}-lock`, how: 'cut', at: 0 }
    const said = await harmWhileOpen(harm)
    expect(said.at(1)).toEqual({ harm, answer: corrupt(harm.file) })
    expect(said.at(-1)).toEqual({ closed: true })
  })

  test('by a lock file that is damaged meanwhile keeps others out, who are told which process it is', async () => {
    const copy = path.join(await copyOf(base), 'base')
    const child = start('keep', copy)
    const ended = once(child, 'exit')
    const lines = linesOf(child)
    await lines.next()
    // Its beginning, which who has it open does not read again: that one lives on, until it is told to end.
    await using locks = await open(path.join(copy, 'store/index.mdb-lock'), 'r+')
    await locks.write('garbage!', 0)
    const opening = openAt(copy, { sync: false })
    await expect(opening).rejects.toMatchObject({ code: 'CORRUPT', at: { op: 'open', key: 'index.mdb-lock' } })
    await expect(opening).rejects.toThrow(`process ${child.pid}`)
    child.stdin?.end()
    expect(await ended).toEqual([0, null])
    await (await openAt(copy, { sync: false })).close()
  })
})
