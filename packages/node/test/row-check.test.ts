import path from 'node:path'
import { FaultyBackend } from '@stored/conformance'
import { MemoryBackend, StorageError } from '@stored/core/backend'
import { LmdbLedger } from '@stored/lmdb'
import { openStore } from '@stored/node'
import { JobQueue } from '@stored/syncd'
import { dumpOf, filesIn } from '@stored/testing/rows/dump'
import { decode, decodeNumbers, encode } from '@stored/testing/rows/encoding'
import { checkLog } from '@stored/testing/rows/replay'
import { checkRows } from '@stored/testing/rows/row-check'
import { type Dump, type RawRow, TREES, type Tree } from '@stored/testing/rows/rows'
import type { StagedFiles } from '@stored/testing/rows/staging-rules'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type TempDirectory, temp } from './temp.ts'

let directory: TempDirectory
let dump: Dump
let files: StagedFiles

/** Rows that stand for themselves: nothing else says the same. */
const ALONE = /^(?:format|seq|store|syncer|synced|boot|bad-copies|medium|pause|health)(?:\0|$)/

beforeAll(async () => {
  directory = await temp()
  const at = path.join(directory.path, 'store')
  await fill(at)
  const ledger = await LmdbLedger.open({ path: at, reserve: 0 })
  const queue = new JobQueue(ledger)
  await queue.resume('far')
  await queue.claim('far', { max: 1, leaseMs: 60_000 })
  dump = dumpOf(ledger)
  files = await filesIn(path.join(at, 'staging'), true)
  await ledger.close()
})
afterAll(() => directory[Symbol.asyncDispose]())

/** A store with rows of every kind: copies in every state, jobs that wait and are parked, staged bytes and files, marks, events. */
async function fill(at: string): Promise<void> {
  const far = new FaultyBackend(new MemoryBackend())
  const store = await openStore({
    path: at,
    backends: { near: { backend: new MemoryBackend() }, far: { backend: far, layout: 'id' } },
  })
  await store.put(Buffer.from('everywhere'), { key: 'everywhere' })
  await store.put(Buffer.from('going'), { key: 'going' })
  await store.synced()
  far.fail(new StorageError('TOO_LARGE', { op: 'put' }))
  await store.put(Buffer.from('refused'), { key: 'refused' })
  await Promise.allSettled([store.synced('refused')])
  await store.pause('far')
  await store.put(Buffer.from('near only'), { key: 'near' })
  await store.put(Buffer.from('near only'), { key: 'another name' })
  await store.put(Buffer.alloc(100_000), { key: 'file' })
  await store.synced(undefined, { backends: ['near'] })
  await store.delete('going')
  await store.close()
}

/** What is told twice: by a row, and by the key of another one or by several rows together. */
const NAMED: readonly (readonly [field: string, what: string, tree: Tree, isOne: (key: Buffer) => boolean])[] = [
  ['id', 'binding', 'keys', isTagged('B')],
  ['id', 'place', 'keys', isTagged('L')],
  ['state', 'place', 'keys', isTagged('L')],
  ...['op', 'id', 'size', 'seq', 'created', 'due'].map(
    (field) => [field, 'job that waits', 'keys', isTagged('W')] as const,
  ),
  ...['op', 'id', 'size'].map((field) => [field, 'job that is parked', 'parked', () => true] as const),
  ...['size', 'seq', 'created', 'lease'].map((field) => [field, 'job that runs', 'running', () => true] as const),
  ...['size', 'pack', 'offset', 'file'].map(
    (field) => [field, 'staged blob', 'blobs', (key: Buffer) => key[33] === 0x53] as const,
  ),
]

function isTagged(tag: string): (key: Buffer) => boolean {
  return (key) => key[key.indexOf(0) + 1] === tag.charCodeAt(0)
}

function contentOf(row: Buffer): Record<string, unknown> {
  return decode(row).value as Record<string, unknown>
}

function other(value: unknown): unknown {
  if (typeof value === 'number') return value + 1
  if (value === 'put' || value === 'delete') return value === 'put' ? 'delete' : 'put'
  // Of a lease nothing is left.
  return typeof value === 'string' && value.startsWith('sha256:') ? `sha256:${'0'.repeat(64)}` : undefined
}

function without(tree: Tree, row: RawRow): Dump {
  return { ...dump, [tree]: dump[tree].filter((other) => other !== row) }
}

function withRow(tree: Tree, key: Buffer, value: Buffer): Dump {
  return { ...dump, [tree]: [...dump[tree].filter(([other]) => !other.equals(key)), [key, value]] }
}

function found(changed: Dump): readonly string[] {
  const { rows, violations } = checkRows(changed, files)
  return [...violations, ...checkLog(rows)]
}

test('checkRows() finds nothing wrong with a store as it is', () => {
  expect(found(dump)).toEqual([])
})

test.each(TREES)('the store has rows in the tree %s', (tree) => {
  expect(dump[tree].length).toBeGreaterThan(0)
})

describe('checkRows() and checkLog() find', () => {
  test.each(TREES)('each row of %s that is missing', (tree) => {
    const unnoticed = dump[tree]
      .filter(([key]) => tree !== 'meta' || !ALONE.test(key.toString()))
      // Counts of nothing are as good as none.
      .filter(([, value]) => tree !== 'counts' || decodeNumbers(value).some((count) => count !== 0))
      .filter((row) => found(without(tree, row)).length === 0)
      .map(([key]) => key.toString('latin1'))
    expect(unnoticed).toEqual([])
  })

  test.each(NAMED)('another %s in each %s', (field, _, tree, isOne) => {
    const rows = dump[tree].filter(([key, value]) => isOne(key) && field in contentOf(value))
    expect(rows.length).toBeGreaterThan(0)
    const unnoticed = rows.filter(([key, value]) => {
      const { number } = decode(value)
      const changed = { ...contentOf(value), [field]: other(contentOf(value)[field]) }
      return found(withRow(tree, key, encode(changed, number))).length === 0
    })
    expect(unnoticed.map(([key]) => key.toString('latin1'))).toEqual([])
  })

  test.each(TREES)('a row in %s that nobody knows', (tree) => {
    expect(found(withRow(tree, Buffer.from('nobody\0?nothing'), encode({}, 1)))).not.toEqual([])
  })

  test('a row whose checksum does not match', () => {
    const [key, value] = dump.keys[0] as RawRow
    const damaged = Buffer.from(value)
    damaged[value.length - 2] = (damaged[value.length - 2] as number) ^ 1
    expect(found(withRow('keys', key, damaged))).toContainEqual(expect.stringContaining('checksum does not match'))
  })

  test('a staged file that is gone, that is too short, and one that no row names', () => {
    const [name, size] = [...files.sizes][0] as [string, number]
    for (const sizes of [new Map(), new Map([[name, size - 1]]), new Map([...files.sizes, ['another', 1]])])
      expect(checkRows(dump, { sizes, isStill: true }).violations).toHaveLength(1)
  })

  test('staged bytes of which one is another', () => {
    const [key, value] = dump.packs.find(([key]) => key.length === 6) as RawRow
    const damaged = Buffer.from(value)
    damaged[0] = (damaged[0] as number) ^ 1
    expect(found(withRow('packs', key, damaged))).toHaveLength(1)
  })
})
