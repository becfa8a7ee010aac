import { randomUUID } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { encodeRow, MemoryLedger, type TreeLedger, writerOf } from '@stored/ledger'
import { testDirectory } from '@stored/testing/directory'
import { beforeEach, describe, expect, test } from 'vitest'
import { newName } from './owner.ts'
import { fileKey } from './staging.ts'
import { beginRecovery, claimStaging, endRecovery, standingOf } from './store-identity.ts'

let directory: string
let ledger: MemoryLedger

beforeEach(async () => {
  directory = await testDirectory()
  ledger = new MemoryLedger()
})

const claim = (index: TreeLedger = ledger) => claimStaging({ ledger: index, path: directory })
const standing = async (index: TreeLedger = ledger) => (await standingOf({ ledger: index, path: directory })).standing
const mark = () => readFile(path.join(directory, '.stored-id'), 'utf8')
/** A staged file; the index knows it where one is given. */
async function stage(index?: TreeLedger): Promise<string> {
  const name = newName()
  await writeFile(path.join(directory, name), 'x')
  await index?.transact((tx) => writerOf(tx).put('bytes', fileKey(name), Buffer.alloc(0)))
  return name
}
/** An index that has commits, and no uuid. */
async function older(): Promise<MemoryLedger> {
  const index = new MemoryLedger()
  await index.transact((tx) => writerOf(tx).put('meta', Buffer.from('x'), Buffer.alloc(0)))
  return index
}

describe('claimStaging()', () => {
  test('of a new store gives index and directory one uuid, once', async () => {
    await claim()
    expect(await standing()).toBe('own')
    const { seq } = ledger
    const uuid = await mark()
    await claim()
    expect({ seq: ledger.seq, uuid: await mark() }).toEqual({ seq, uuid })
  })

  test('by many at once gives them one uuid', async () => {
    await Promise.all(Array.from({ length: 8 }, () => claim()))
    expect(await standing()).toBe('own')
    expect(await readdir(directory)).toEqual(['.stored-id'])
  })

  test('of what is staged already, beside the index of an older version, accepts it', async () => {
    const index = await older()
    await stage()
    await claim(index)
    expect(await standing(index)).toBe('own')
  })

  test('that was cut off before the directory was marked is taken up', async () => {
    const index = await older()
    await stage()
    const marking = { uuid: randomUUID(), phase: 'marking' }
    await index.transact((tx) => writerOf(tx).put('meta', Buffer.from('store'), encodeRow(marking, tx.ticket)))
    await claim(index)
    expect(await standing(index)).toBe('own')
    expect(await mark()).toBe(`${marking.uuid}\n`)
  })

  test.each([
    ['a new index', async () => new MemoryLedger(), 'lost'],
    ['an index of an older version, where the files are marked', older, 'foreign'],
    [
      'an index of another store',
      async () => {
        const other = await mkdtemp(path.join(tmpdir(), 'stored-identity-'))
        const index = new MemoryLedger()
        await claimStaging({ ledger: index, path: other })
        await rm(other, { recursive: true })
        return index
      },
      'foreign',
    ],
  ])('of files that are staged, for %s, rejects CORRUPT and changes nothing', async (_, open, expected) => {
    await claim()
    const name = await stage(ledger)
    const before = await mark()
    const index = await open()
    const { seq } = index
    expect(await standing(index)).toBe(expected)
    await expect(claim(index)).rejects.toMatchObject({ code: 'CORRUPT', at: { op: 'open' } })
    expect(index.seq).toBe(seq)
    expect(await mark()).toBe(before)
    expect(await readdir(directory)).toContain(name)
    await claim()
  })

  test('of unmarked files that the index does not know rejects CORRUPT', async () => {
    await claim()
    await rm(path.join(directory, '.stored-id'))
    await stage()
    await expect(claim()).rejects.toMatchObject({ code: 'CORRUPT' })
  })

  test('of an empty directory of another store, while files are owed, rejects CORRUPT', async () => {
    await claim()
    await rm(path.join(directory, await stage(ledger)))
    const other = new MemoryLedger()
    await rm(path.join(directory, '.stored-id'))
    await claim(other)
    await expect(claim()).rejects.toMatchObject({ code: 'CORRUPT' })
  })
})

test('a recovery that has not ended stands as recovering; ended, index and directory are of one store', async () => {
  const claimed = { ledger, path: directory }
  await stage()
  await beginRecovery(claimed)
  expect(await standing()).toBe('recovering')
  await expect(claim()).rejects.toMatchObject({ code: 'CORRUPT' })
  await beginRecovery(claimed)
  await endRecovery(claimed)
  expect(await standing()).toBe('own')
})
