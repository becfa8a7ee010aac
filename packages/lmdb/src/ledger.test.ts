import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Transaction } from '@stored/core'
import fc from 'fast-check'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { decodeNumbers } from './commit.ts'
import { afterwards, guard, type TreeLedger, type Writer, write } from './ledger.ts'
import { LmdbLedger } from './lmdb-ledger.ts'
import { MemoryLedger } from './memory-ledger.ts'
import { END } from './table.ts'

const START = Buffer.alloc(0)
const bytes = (text: string) => Buffer.from(text)
const put = (tx: Transaction, key: string, value: string) =>
  write(tx, (writer) => writer.put('keys', bytes(key), bytes(value)))

const directories: string[] = []
afterAll(() => Promise.all(directories.map((directory) => rm(directory, { recursive: true }))))

const implementations: { name: string; open: () => Promise<TreeLedger> }[] = [
  { name: 'MemoryLedger', open: async () => new MemoryLedger() },
  {
    name: 'LmdbLedger',
    open: async () => {
      const directory = await mkdtemp(path.join(tmpdir(), 'stored-ledger-'))
      directories.push(directory)
      return LmdbLedger.open({ path: directory, reserve: 0 })
    },
  },
]

describe.each(implementations)('$name', ({ open }) => {
  let ledger: TreeLedger

  beforeEach(async () => {
    ledger = await open()
    return () => ledger.close()
  })

  const get = (key: string) => ledger.get('keys', bytes(key), String)
  const all = () => ledger.range('keys', { from: START, to: END }).map(([key, value]) => `${key}=${value}`)

  describe('transact()', () => {
    test('of which a step throws rejects with that error and writes nothing', async () => {
      const error = new Error('a row that cannot be decoded')
      const failing = ledger.transact((tx) => {
        put(tx, 'before', '1')
        write(tx, () => {
          throw error
        })
        put(tx, 'behind', '1')
      })
      await expect(failing).rejects.toBe(error)
      expect(all()).toEqual([])
    })

    test('of which a step throws leaves the others of its turn alone', async () => {
      const outcomes = await Promise.allSettled([
        ledger.transact((tx) => put(tx, 'a', '1')),
        ledger.transact((tx) => {
          put(tx, 'b', '1')
          write(tx, () => {
            throw new Error('no')
          })
        }),
        ledger.transact((tx) => put(tx, 'c', '1')),
      ])
      expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
      expect(all()).toEqual(['a=1', 'c=1'])
    })

    test('with a key that no tree can hold rejects and writes nothing', async () => {
      const failing = ledger.transact((tx) => {
        put(tx, 'before', '1')
        put(tx, 'k'.repeat(1979), '1')
      })
      await expect(failing).rejects.toMatchObject({ code: 'INVALID_KEY' })
      expect(all()).toEqual([])
    })

    test('that removes, or adds to, such a key rejects and writes nothing', async () => {
      const key = Buffer.alloc(1979, 'k')
      for (const step of [(w: Writer) => w.remove('meta', key), (w: Writer) => w.add('meta', key, [1])]) {
        const failing = ledger.transact((tx) => {
          put(tx, 'before', '1')
          write(tx, step)
        })
        await expect(failing).rejects.toMatchObject({ code: 'INVALID_KEY' })
        expect(all()).toEqual([])
      }
    })

    test('whose collecting throws rejects with that error and writes nothing', async () => {
      const error = new Error('no')
      const failing = ledger.transact((tx) => {
        put(tx, 'a', '1')
        throw error
      })
      await expect(failing).rejects.toBe(error)
      expect(all()).toEqual([])
    })

    test('with a failed guard rejects CONFLICT and runs no step of it', async () => {
      let ran = false
      const failing = ledger.transact((tx) => {
        write(tx, () => {
          ran = true
        })
        afterwards(tx, () => {
          ran = true
        })
        guard(tx, () => false)
      })
      await expect(failing).rejects.toMatchObject({ code: 'CONFLICT', at: { op: 'commit' }, retryable: true })
      expect(ran).toBe(false)
    })

    test('with a failed guard uses up no sequence number', async () => {
      const { seq } = await ledger.transact((tx) => put(tx, 'a', '1'))
      await expect(ledger.transact((tx) => guard(tx, () => false))).rejects.toMatchObject({ code: 'CONFLICT' })
      expect(await ledger.transact((tx) => put(tx, 'a', '2'))).toEqual({ seq: seq + 1 })
    })

    test('shows a step what was there before, not what its own transaction writes', async () => {
      await ledger.transact((tx) => put(tx, 'a', 'before'))
      let seen: string | undefined
      await ledger.transact((tx) => {
        put(tx, 'a', 'behind')
        write(tx, (writer) => {
          seen = writer.get('keys', bytes('a'), String)
        })
      })
      expect(seen).toBe('before')
      expect(get('a')).toBe('behind')
    })

    test('shows guards and steps what an earlier one of the same turn wrote', async () => {
      const seen: (string | undefined)[] = []
      await Promise.all([
        ledger.transact((tx) => put(tx, 'a', '1')),
        ledger.transact((tx) => {
          guard(tx, (reader) => reader.get('keys', bytes('a'), String) === '1')
          write(tx, (writer) => {
            seen.push(writer.get('keys', bytes('a'), String))
            seen.push(...writer.range('keys', { from: START, to: END }).map(([key]) => key.toString()))
          })
        }),
      ])
      expect(seen).toEqual(['1', 'a'])
    })

    test('gives its steps the sequence number it resolves with', async () => {
      let given = 0
      const { seq } = await ledger.transact((tx) =>
        write(tx, (writer) => {
          given = writer.seq
        }),
      )
      expect(given).toBe(seq)
    })

    test('runs what was asked for afterwards once its rows can be read', async () => {
      let seen: string | undefined
      await ledger.transact((tx) => {
        put(tx, 'a', '1')
        afterwards(tx, () => {
          seen = get('a')
        })
      })
      expect(seen).toBe('1')
    })

    test('adds numbers, several times in one transaction too', async () => {
      const key = bytes('n')
      const add = (tx: Transaction, deltas: number[]) => write(tx, (writer) => writer.add('counts', key, deltas))
      await ledger.transact((tx) => {
        add(tx, [1, 10])
        add(tx, [1, -30])
      })
      await Promise.all([ledger.transact((tx) => add(tx, [1, 0])), ledger.transact((tx) => add(tx, [-4, 2 ** 40]))])
      expect(ledger.get('counts', key, decodeNumbers)).toEqual([-1, 2 ** 40 - 20])
    })

    test('shows a step that reads numbers what earlier ones of the same turn added', async () => {
      const key = bytes('n')
      const seen: (number[] | undefined)[] = []
      const addAndRead = (delta: number) =>
        ledger.transact((tx) =>
          write(tx, (writer) => {
            seen.push(writer.get('counts', key, decodeNumbers))
            writer.add('counts', key, [delta])
          }),
        )
      await Promise.all([addAndRead(1), addAndRead(10), addAndRead(100)])
      expect(seen).toEqual([undefined, [1], [11]])
      expect(ledger.range('counts', { from: START, to: END })).toHaveLength(1)
      expect(ledger.get('counts', key, decodeNumbers)).toEqual([111])
    })

    test('that fails adds no numbers', async () => {
      const add = (failure: Error | null) =>
        ledger.transact((tx) =>
          write(tx, (writer) => {
            writer.add('counts', bytes('n'), [1])
            if (failure) throw failure
          }),
        )
      await Promise.allSettled([add(null), add(new Error('no')), add(null)])
      expect(ledger.get('counts', bytes('n'), decodeNumbers)).toEqual([2])
    })

    test('after close() rejects CLOSED', async () => {
      await ledger.close()
      await expect(ledger.transact(() => {})).rejects.toMatchObject({ code: 'CLOSED' })
    })
  })

  describe('range()', () => {
    beforeEach(async () => {
      await ledger.transact((tx) => {
        for (const key of ['a', 'b', 'c', 'd']) put(tx, key, key)
      })
    })

    test('begins with its first key and ends before its last', () => {
      const rows = ledger.range('keys', { from: bytes('b'), to: bytes('d') })
      expect(rows.map(([key]) => key.toString())).toEqual(['b', 'c'])
    })

    test('with a limit returns no more rows', () => {
      expect(ledger.range('keys', { from: START, to: END, limit: 3 })).toHaveLength(3)
    })

    test('returns copies: later commits do not change them', async () => {
      const [row] = ledger.range('keys', { from: START, to: END, limit: 1 })
      await ledger.transact((tx) => put(tx, 'a', 'z'))
      expect(row?.[1].toString()).toBe('a')
    })

    test('of another tree is empty', () => {
      expect(ledger.range('blobs', { from: START, to: END })).toEqual([])
    })
  })

  test('rows come back as they were written, in the order of their bytes', async () => {
    const key = fc.uint8Array({ minLength: 1, maxLength: 40 })
    const value = fc.option(fc.uint8Array({ maxLength: 300 }), { nil: null })
    const model = new Map<string, string>()
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(key, value), { maxLength: 8 }), async (writes) => {
        await ledger.transact((tx) => {
          for (const [name, content] of writes)
            write(tx, (writer) => (content ? writer.put('blobs', name, content) : writer.remove('blobs', name)))
        })
        for (const [name, content] of writes) {
          const hex = Buffer.from(name).toString('hex')
          if (content) model.set(hex, Buffer.from(content).toString('hex'))
          else model.delete(hex)
        }
        const rows = ledger.range('blobs', { from: START, to: END, limit: 10_000 })
        // Hex digits compare as the bytes they stand for.
        expect(rows.map((row) => row.map((part) => part.toString('hex')))).toEqual([...model].sort())
        for (const [hex, content] of model)
          expect(ledger.get('blobs', Buffer.from(hex, 'hex'), (found) => found.toString('hex'))).toBe(content)
      }),
      { numRuns: 40 },
    )
  })
})
