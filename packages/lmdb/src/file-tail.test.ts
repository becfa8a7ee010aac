import { readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import { writerOf } from '@stored/ledger'
import { testDirectory } from '@stored/testing/directory'
import fc from 'fast-check'
import { beforeEach, describe, expect, test } from 'vitest'
import { FileTail } from './file-tail.ts'
import { LmdbLedger } from './lmdb-ledger.ts'

let directory: string
beforeEach(async () => {
  directory = await testDirectory()
})

const MIB = 1024 * 1024
const LAST_PAGE = 144

/** @see struct MDB_meta in mdb.c: `mm_last_pg`, in each of the first two pages */
async function endOfPages(file: string): Promise<number> {
  const metas = (await readFile(file)).subarray(0, 8192)
  return Math.max(...[0, 4096].map((page) => (Number(metas.readBigUInt64LE(page + LAST_PAGE)) + 1) * 4096))
}

describe('FileTail.provide()', () => {
  test('grows the file to what was asked for and spare room, never makes it shorter, and writes it out', async () => {
    await using ledger = await LmdbLedger.open({ path: directory, reserve: 0 }).then(closing)
    const file = path.join(directory, 'index.mdb')
    const tail = new FileTail(file)
    tail.provide(5 * MIB)
    tail.provide(2 * MIB)
    await tail.close()
    expect(ledger.degraded).toBeNull()
    const { size, blocks } = await stat(file)
    expect(size).toBe(7 * MIB)
    expect(blocks * 512).toBeGreaterThanOrEqual(size - MIB / 8)
  })
})

describe('a commit', () => {
  test('whatever it writes and removes, finds the room for it at the end of the file already', async () => {
    const trees = ['keys', 'blobs', 'bytes', 'due', 'counts'] as const
    const row = fc.record({
      tree: fc.constantFrom(...trees),
      key: fc.nat(2000),
      bytes: fc.option(fc.oneof(fc.nat(100), fc.nat(5000), fc.nat(65_536)), { nil: null }),
    })
    await using ledger = await LmdbLedger.open({ path: directory, reserve: 0 }).then(closing)
    const file = path.join(directory, 'index.mdb')
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(row, { minLength: 1, maxLength: 200 }), { minLength: 1, maxLength: 4 }),
        async (group) => {
          await Promise.all(
            group.map((rows) =>
              ledger.transact((tx) => {
                for (const { tree, key, bytes } of rows) {
                  const name = Buffer.from(`row ${key * 7919}`)
                  if (bytes === null) writerOf(tx).remove(tree, name)
                  else writerOf(tx).put(tree, name, Buffer.alloc(bytes, key))
                }
              }),
            ),
          )
          // Had LMDB made the file longer itself, it would end with the last page.
          expect(await endOfPages(file)).toBeLessThan((await stat(file)).size)
        },
      ),
      { numRuns: 40 },
    )
  })

  test('finds the room for events of letters that take several bytes each', async () => {
    await using ledger = await LmdbLedger.open({ path: directory, reserve: 0 }).then(closing)
    const file = path.join(directory, 'index.mdb')
    const text = '\u6f22'.repeat(3 * MIB)
    await ledger.transact((tx) => ledger.record(tx, { type: 'x.y', data: { text }, time: 0 }))
    expect(await endOfPages(file)).toBeLessThan((await stat(file)).size)
  })
})

function closing(ledger: LmdbLedger): LmdbLedger & AsyncDisposable {
  return Object.assign(ledger, { [Symbol.asyncDispose]: () => ledger.close() })
}
