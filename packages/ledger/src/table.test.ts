import fc from 'fast-check'
import { beforeEach, describe, expect, test } from 'vitest'
import { MemoryLedger } from './memory-ledger.ts'
import { after, END, pages, scan, Table } from './table.ts'

let ledger: MemoryLedger
let table: Table<number>
let sibling: Table<number>

beforeEach(() => {
  ledger = new MemoryLedger()
  table = new Table(ledger, 'keys', 'A')
  sibling = new Table(ledger, 'keys', 'B')
})

async function fill(of: Table<number>, partition: string, suffixes: readonly string[]): Promise<void> {
  await ledger.transact((tx) => {
    for (const [i, suffix] of suffixes.entries()) of.put(tx, of.key(Buffer.from(partition), Buffer.from(suffix)), i)
  })
}

describe('Table', () => {
  test('get() returns value and ticket of a row; ticket() the ticket alone', async () => {
    const key = table.key(Buffer.from('p'))
    const { value: ticket } = await ledger.transact((tx) => {
      table.put(tx, key, 42)
      return tx.ticket
    })
    expect(table.get(key, ledger)).toEqual({ value: 42, ticket })
    expect(table.ticket(key, ledger)).toBe(ticket)
  })

  test('get() of a removed row is undefined', async () => {
    const key = table.key(Buffer.from('p'))
    await ledger.transact((tx) => table.put(tx, key, 42))
    await ledger.transact((tx) => table.remove(tx, key))
    expect(table.get(key, ledger)).toBeUndefined()
    expect(table.ticket(key, ledger)).toBeUndefined()
  })

  test('suffix() tells a row of this table from one of another', () => {
    const partition = Buffer.from('p')
    expect(table.suffix(table.key(partition, Buffer.from('x')), 1)?.toString()).toBe('x')
    expect(table.suffix(sibling.key(partition, Buffer.from('x')), 1)).toBeNull()
  })
})

describe('scan()', () => {
  test('of exactly one page ends', async () => {
    await fill(
      table,
      'p',
      Array.from({ length: 500 }, (_, i) => String(i)),
    )
    expect([...scan(ledger, 'keys', Buffer.alloc(0), END)]).toHaveLength(500)
  })

  test('reads a page at a time: a row added behind the present page comes', async () => {
    await fill(
      table,
      'p',
      Array.from({ length: 500 }, (_, i) => `a${i}`),
    )
    const rows = scan(ledger, 'keys', Buffer.alloc(0), END)
    rows.next()
    await fill(table, 'p', ['z'])
    expect([...rows].at(-1)?.[0].toString()).toBe('p\0Az')
  })
})

describe('pages()', () => {
  const ALL = { from: Buffer.alloc(0), to: END }
  const fillPages = (count: number) =>
    fill(
      table,
      'p',
      Array.from({ length: count * 500 }, (_, i) => String(i).padStart(5, '0')),
    )

  test('gives everybody else a turn between two pages', async () => {
    await fillPages(3)
    const seen: string[] = []
    const turn = () => setImmediate(() => seen.push('turn'))
    turn()
    for await (const page of pages(ledger, 'keys', ALL)) {
      seen.push(`${page.length} rows`)
      turn()
    }
    // Of exactly so many pages, another look tells that there are no more.
    expect(seen).toEqual(['500 rows', 'turn', 'turn', '500 rows', 'turn', '500 rows', 'turn', '0 rows'])
  })

  test('of few rows, or of none, is one page, at once', async () => {
    let turns = 0
    setImmediate(() => turns++)
    expect(await Array.fromAsync(pages(ledger, 'keys', ALL))).toEqual([[]])
    await fill(table, 'p', ['x'])
    expect(await Array.fromAsync(pages(ledger, 'keys', ALL))).toHaveLength(1)
    expect(turns).toBe(0)
  })

  test('ends with the reason of a signal that is aborted in the turn of somebody else, before it reads on', async () => {
    await fillPages(3)
    const abort = new AbortController()
    setImmediate(() => abort.abort(new Error('enough')))
    const read: number[] = []
    const walking = (async () => {
      for await (const page of pages(ledger, 'keys', { ...ALL, signal: abort.signal })) read.push(page.length)
    })()
    await expect(walking).rejects.toThrow('enough')
    expect(read).toEqual([500])
  })

  test('meets a row that was added behind the present page', async () => {
    await fillPages(1)
    const keys: string[] = []
    for await (const page of pages(ledger, 'keys', ALL)) {
      if (keys.length === 0) await fill(table, 'p', ['z'])
      keys.push(...page.map(([key]) => key.toString()))
    }
    expect(keys.at(-1)).toBe('p\0Az')
  })
})

test('after() of a prefix sorts behind all that begins with it and before all else', () => {
  const prefix = fc.uint8Array({ minLength: 1, maxLength: 4 }).filter((bytes) => bytes.some((byte) => byte !== 0xff))
  fc.assert(
    fc.property(prefix, fc.uint8Array({ maxLength: 6 }), (start, other) => {
      const end = after(start)
      expect(Buffer.compare(Buffer.concat([start, other]), end)).toBe(-1)
      const isBehind = Buffer.compare(other, start) > 0 && !Buffer.from(other).subarray(0, start.length).equals(start)
      if (isBehind) expect(Buffer.compare(other, end)).toBeGreaterThanOrEqual(0)
    }),
  )
})
