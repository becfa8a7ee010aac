import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Transaction } from '@stored/core'
import {
  decodeNumbers,
  END,
  encodeNumbers,
  MemoryLedger,
  type Reader,
  readerOf,
  type TreeLedger,
  type Writer,
  writerOf,
} from '@stored/ledger'
import fc from 'fast-check'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { LmdbLedger } from './lmdb-ledger.ts'

const START = Buffer.alloc(0)
const bytes = (text: string) => Buffer.from(text)
const put = (tx: Transaction, key: string, value: string) => writerOf(tx).put('keys', bytes(key), bytes(value))
const rowsOf = (reader: Reader, o: { from?: Buffer; to?: Buffer; limit?: number } = {}) =>
  reader.range('keys', { from: START, to: END, ...o }).map(([key, value]) => `${key}=${value}`)

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
  const all = () => rowsOf(ledger)

  describe('transact()', () => {
    test('resolves with what the plan returned, and with a position behind those before it', async () => {
      const first = await ledger.transact((tx) => {
        put(tx, 'a', '1')
        return { some: 'value' }
      })
      expect(first).toEqual({ value: { some: 'value' }, seq: expect.any(Number), position: String(first.seq) })
      expect((await ledger.transact((tx) => put(tx, 'b', '1'))).seq).toBeGreaterThan(first.seq)
    })

    test('of a plan that throws rejects with that error and writes nothing', async () => {
      const error = new Error('a row that cannot be decoded')
      const failing = ledger.transact((tx) => {
        put(tx, 'before', '1')
        throw error
      })
      await expect(failing).rejects.toBe(error)
      expect(all()).toEqual([])
    })

    test('of a plan that throws leaves the others of its turn alone', async () => {
      const outcomes = await Promise.allSettled([
        ledger.transact((tx) => put(tx, 'a', '1')),
        ledger.transact((tx) => {
          put(tx, 'b', '1')
          throw new Error('no')
        }),
        ledger.transact((tx) => put(tx, 'c', '1')),
      ])
      expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
      expect(all()).toEqual(['a=1', 'c=1'])
    })

    test.each([
      ['that rejects', async () => Promise.reject(new Error('unhandled'))],
      ['that resolves', async () => {}],
      // biome-ignore lint/suspicious/noThenProperty: what is refused
      ['that is no Promise', () => ({ then() {} })],
    ])('of a plan that returns a promise %s rejects INVALID_ARGUMENT and writes nothing', async (_, promise) => {
      const failing = ledger.transact((tx) => {
        put(tx, 'a', '1')
        return promise()
      })
      await expect(failing).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
      expect(all()).toEqual([])
    })

    test('refuses writes of a plan that has returned', async () => {
      let escaped: Transaction | undefined
      await ledger.transact((tx) => {
        escaped = tx
      })
      expect(() => put(escaped as Transaction, 'a', '1')).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
    })

    test('with a key that no tree can hold rejects and writes nothing', async () => {
      const key = Buffer.alloc(1979, 'k')
      for (const step of [
        (w: Writer) => w.put('meta', key, key),
        (w: Writer) => w.remove('meta', key),
        (w: Writer) => w.add('meta', key, [1]),
      ]) {
        const failing = ledger.transact((tx) => {
          put(tx, 'before', '1')
          step(writerOf(tx))
        })
        await expect(failing).rejects.toMatchObject({ code: 'INVALID_KEY' })
        expect(all()).toEqual([])
      }
    })

    test('shows a plan what an earlier one of the same turn wrote', async () => {
      await ledger.transact((tx) => put(tx, 'gone', '1'))
      const [, { value: seen }] = await Promise.all([
        ledger.transact((tx) => {
          put(tx, 'a', '1')
          writerOf(tx).remove('keys', bytes('gone'))
        }),
        ledger.transact((tx) => [readerOf(tx).get('keys', bytes('a'), String), ...rowsOf(readerOf(tx))]),
      ])
      expect(seen).toEqual(['1', 'a=1'])
    })

    test('gives each plan a ticket of its own, and the time at which it was handed in', async () => {
      const before = Date.now()
      const given = await Promise.all(
        Array.from({ length: 20 }, () => ledger.transact(({ ticket, now }) => ({ ticket, now }))),
      )
      expect(new Set(given.map(({ value }) => value.ticket)).size).toBe(20)
      for (const { value } of given) {
        expect(value.now).toBeGreaterThanOrEqual(before)
        expect(value.now).toBeLessThanOrEqual(Date.now())
      }
    })

    test('runs what was asked for afterwards once its rows can be read', async () => {
      const seen: (string | undefined)[] = []
      await ledger.transact((tx) => {
        put(tx, 'a', '1')
        tx.afterwards(() => seen.push(get('a')))
      })
      expect(seen).toEqual(['1'])
    })

    test('runs nothing afterwards of a plan that throws', async () => {
      let ran = false
      const failing = ledger.transact((tx) => {
        tx.afterwards(() => {
          ran = true
        })
        throw new Error('no')
      })
      await expect(failing).rejects.toThrow('no')
      expect(ran).toBe(false)
    })

    test('adds numbers, several times in one transaction too', async () => {
      const add = (tx: Transaction, deltas: number[]) => writerOf(tx).add('counts', bytes('n'), deltas)
      await ledger.transact((tx) => {
        add(tx, [1, 10])
        add(tx, [1, -30])
      })
      await Promise.all([ledger.transact((tx) => add(tx, [1])), ledger.transact((tx) => add(tx, [-4, 2 ** 40]))])
      expect(ledger.get('counts', bytes('n'), decodeNumbers)).toEqual([-1, 2 ** 40 - 20])
    })

    test('shows a plan that reads numbers what earlier ones of the same turn added', async () => {
      const addAndRead = (delta: number) =>
        ledger.transact((tx) => {
          writerOf(tx).add('counts', bytes('n'), [delta])
          return readerOf(tx).get('counts', bytes('n'), decodeNumbers)
        })
      const seen = await Promise.all([addAndRead(1), addAndRead(10), addAndRead(100)])
      expect(seen.map(({ value }) => value)).toEqual([undefined, [1], [11]])
      expect(ledger.range('counts', { from: START, to: END })).toHaveLength(1)
      expect(ledger.get('counts', bytes('n'), decodeNumbers)).toEqual([111])
    })

    test('that writes or removes a row of numbers leaves none of what earlier ones of the same turn added', async () => {
      const add = (delta: number) => ledger.transact((tx) => writerOf(tx).add('counts', bytes('n'), [delta]))
      const set = (value: number) =>
        ledger.transact((tx) => writerOf(tx).put('counts', bytes('n'), encodeNumbers([value])))
      await Promise.all([add(1), set(10), add(100)])
      expect(ledger.get('counts', bytes('n'), decodeNumbers)).toEqual([110])
      await Promise.all([add(1), ledger.transact((tx) => writerOf(tx).remove('counts', bytes('n')))])
      expect(ledger.get('counts', bytes('n'), decodeNumbers)).toBeUndefined()
    })

    test('that fails adds no numbers', async () => {
      const add = (failure: Error | null) =>
        ledger.transact((tx) => {
          writerOf(tx).add('counts', bytes('n'), [1])
          if (failure) throw failure
        })
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

  describe('a plan', () => {
    beforeEach(async () => {
      await ledger.transact((tx) => {
        for (const key of ['b', 'd', 'f']) put(tx, key, 'base')
      })
    })

    test('reads its own writes', async () => {
      const { value } = await ledger.transact((tx) => {
        put(tx, 'b', 'own')
        writerOf(tx).remove('keys', bytes('d'))
        return ['b', 'd', 'f'].map((key) => readerOf(tx).get('keys', bytes(key), String))
      })
      expect(value).toEqual(['own', undefined, 'base'])
    })

    test('meets its own writes in a range, in order, within its limit', async () => {
      const { value } = await ledger.transact((tx) => {
        for (const key of ['a', 'c', 'd', 'g']) put(tx, key, 'own')
        writerOf(tx).remove('keys', bytes('b'))
        const reader = readerOf(tx)
        return [rowsOf(reader), rowsOf(reader, { limit: 2 }), rowsOf(reader, { from: bytes('b'), to: bytes('f') })]
      })
      expect(value).toEqual([
        ['a=own', 'c=own', 'd=own', 'f=base', 'g=own'],
        ['a=own', 'c=own'],
        ['c=own', 'd=own'],
      ])
    })

    test('meets in a range what it wrote after an earlier range', async () => {
      const { value } = await ledger.transact((tx) => {
        put(tx, 'e', '1')
        const before = rowsOf(readerOf(tx))
        put(tx, 'c', '2')
        put(tx, 'e', '2')
        return [before, rowsOf(readerOf(tx))]
      })
      expect(value).toEqual([
        ['b=base', 'd=base', 'e=1', 'f=base'],
        ['b=base', 'c=2', 'd=base', 'e=2', 'f=base'],
      ])
    })
  })

  test('a plan that writes and reads in any order reads what a map would hold', async () => {
    const key = fc.integer({ min: 0, max: 20 }).map((n) => String.fromCharCode(97 + n))
    const step = fc.oneof(
      fc.record({ op: fc.constant('put' as const), key, value: fc.nat(9).map(String) }),
      fc.record({ op: fc.constant('remove' as const), key }),
      fc.record({ op: fc.constant('range' as const), from: key, to: key, limit: fc.integer({ min: 1, max: 25 }) }),
    )
    const model = new Map<string, string>()
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const { value } = await ledger.transact((tx) =>
          steps.map((step) => {
            if (step.op === 'put') return put(tx, step.key, step.value)
            if (step.op === 'remove') return writerOf(tx).remove('keys', bytes(step.key))
            return rowsOf(readerOf(tx), { from: bytes(step.from), to: bytes(step.to), limit: step.limit })
          }),
        )
        const expected = steps.map((step) => {
          if (step.op === 'put') return void model.set(step.key, step.value)
          if (step.op === 'remove') return void model.delete(step.key)
          const rows = [...model].filter(([key]) => key >= step.from && key < step.to).sort()
          return rows.slice(0, step.limit).map((row) => row.join('='))
        })
        expect(value).toEqual(expected)
        expect(all()).toEqual([...model].sort().map((row) => row.join('=')))
      }),
      { numRuns: 60 },
    )
  })

  describe('look()', () => {
    test('resolves with what it read', async () => {
      await ledger.transact((tx) => put(tx, 'a', '1'))
      expect(await ledger.look((view) => rowsOf(readerOf(view)))).toEqual(['a=1'])
    })

    test('that throws rejects with that error; one that returns a promise INVALID_ARGUMENT', async () => {
      const error = new Error('no')
      const failing = ledger.look(() => {
        throw error
      })
      await expect(failing).rejects.toBe(error)
      await expect(ledger.look(async () => {})).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    })

    test('after close() rejects CLOSED', async () => {
      await ledger.close()
      const late = ledger.look((view) => readerOf(view).get('keys', bytes('a'), String))
      await expect(late).rejects.toMatchObject({ code: 'CLOSED' })
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
            content ? writerOf(tx).put('blobs', name, content) : writerOf(tx).remove('blobs', name)
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
