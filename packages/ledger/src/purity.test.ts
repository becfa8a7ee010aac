import type { Transaction } from '@stored/core'
import { describe, expect, test } from 'vitest'
import { readerOf, writerOf } from './ledger.ts'
import { MemoryLedger } from './memory-ledger.ts'

const key = Buffer.from('k')
const put = (tx: Transaction, value: string) => writerOf(tx).put('keys', key, Buffer.from(value))
const IMPURE = { code: 'INTERNAL', detail: expect.stringContaining('pure function') }

let count = 0
const impure: [title: string, plan: (tx: Transaction) => unknown][] = [
  ['reads Date.now()', (tx) => put(tx, String(Date.now() > 0))],
  ['makes a Date of now', (tx) => put(tx, String(new Date() instanceof Date))],
  ['calls Date()', (tx) => put(tx, typeof Date())],
  ['uses Math.random()', (tx) => put(tx, String(Math.random() < 2))],
  ['writes what an earlier run left', (tx) => put(tx, String(count++))],
  ['removes what an earlier run left', (tx) => writerOf(tx).remove('keys', Buffer.from(String(count++)))],
  ['adds what an earlier run left', (tx) => writerOf(tx).add('counts', key, [count++])],
  ['reads where an earlier run left off', (tx) => readerOf(tx).get('keys', Buffer.from(String(count++)), String)],
  [
    'walks from where an earlier run left off',
    (tx) => readerOf(tx).range('keys', { from: key, to: key, limit: ++count }),
  ],
  ['records what an earlier run left', (tx) => writerOf(tx).record({ type: 'put', time: count++ } as never)],
  ['returns what an earlier run left', () => ({ count: count++ })],
  [
    'throws what an earlier run left',
    () => {
      throw new Error(String(count++))
    },
  ],
  [
    'reads the clock and hides it',
    (tx) => {
      try {
        Date.now()
      } catch {
        put(tx, 'hidden')
      }
    },
  ],
]

describe('a plan that', () => {
  test.each(impure)('%s is rejected at its first run, and writes nothing', async (_, plan) => {
    const ledger = new MemoryLedger()
    await expect(ledger.transact(plan)).rejects.toMatchObject(IMPURE)
    expect(ledger.range('keys', { from: Buffer.alloc(0), to: Buffer.of(0xff) })).toEqual([])
    expect(ledger.seq).toBe(0)
  })

  test('makes a Date of a number, returns functions, bytes and bigints is pure', async () => {
    const { value } = await new MemoryLedger().transact((tx) => ({
      time: new Date(0).toISOString(),
      once: () => tx.now,
      bytes: Buffer.from('x'),
      ticket: tx.ticket,
    }))
    expect(value).toMatchObject({ time: '1970-01-01T00:00:00.000Z', bytes: Buffer.from('x'), ticket: 1n })
  })

  test('throws over rows that were guessed is run over the true ones, and not heard of', async () => {
    const heard: TypeError[] = []
    const ledger = new MemoryLedger({ onGuessError: (error) => heard.push(error) })
    await ledger.transact((tx) => put(tx, 'here'))
    const lengths = []
    for (let i = 0; i < 40; i++)
      lengths.push(await ledger.look((view) => (readerOf(view).get('keys', key, String) as string).length))
    expect(lengths).toEqual(lengths.map(() => 4))
    expect(heard.length).toBeGreaterThan(0)
    expect(heard[0]).toBeInstanceOf(TypeError)
  })
})

test('a look that reads the clock, or what an earlier run left, is rejected', async () => {
  const ledger = new MemoryLedger()
  await expect(ledger.look(() => Date.now())).rejects.toMatchObject(IMPURE)
  await expect(ledger.look(() => count++)).rejects.toMatchObject(IMPURE)
})

test('a look that returns a promise is INVALID_ARGUMENT, and what becomes of the promise of no run is unhandled', async () => {
  const unhandled: unknown[] = []
  const hear = (error: unknown) => void unhandled.push(error)
  process.on('unhandledRejection', hear)
  const look = new MemoryLedger().look(() => Promise.reject(new Error('lost')))
  await expect(look).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  await new Promise(setImmediate)
  process.off('unhandledRejection', hear)
  expect(unhandled).toEqual([])
})

test('clock and randomness are back once a plan is through, also when it throws', async () => {
  const [{ now }, { random }] = [Date, Math]
  await expect(new MemoryLedger().transact(() => Date.now())).rejects.toMatchObject(IMPURE)
  expect([Date.now, Math.random]).toEqual([now, random])
})

test('scrambled tickets are unique, and in no order', async () => {
  const ledger = new MemoryLedger({ scrambleTickets: true })
  const tickets: bigint[] = []
  for (let i = 0; i < 100; i++) tickets.push((await ledger.transact((tx) => tx.ticket)).value)
  expect(new Set(tickets).size).toBe(100)
  expect(tickets).not.toEqual([...tickets].sort((a, b) => (a < b ? -1 : 1)))
})
