import type { DurableEvent, PutEvent } from '@stored/core'
import { describe, expect, test } from 'vitest'
import { readerOf, writerOf } from './ledger.ts'
import { MemoryLedger } from './memory-ledger.ts'

const { signal } = new AbortController()

function eventOf(key: string): PutEvent {
  return { type: 'put', checksum: `sha256:${'0'.repeat(64)}`, key, size: 1, isNew: true, time: 1_732_844_100_000 }
}

const record = (ledger: MemoryLedger, key: string) => ledger.transact((tx) => ledger.record(tx, eventOf(key)))

async function recordMany(ledger: MemoryLedger, count: number): Promise<number[]> {
  const commits = await Promise.all(Array.from({ length: count }, (_, i) => record(ledger, `k${i}`)))
  return commits.map(({ seq }) => seq)
}

const keyOf = (event: DurableEvent) => ('key' in event ? event.key : event.type)
const read = async (ledger: MemoryLedger, since: number | string = 0) =>
  (await Array.fromAsync(ledger.events({ since, signal }))).flat()
const seqs = async (ledger: MemoryLedger, since = 0) => (await read(ledger, since)).map(({ seq }) => seq)

describe('record()', () => {
  test('writes the event with the number of its commit', async () => {
    const ledger = new MemoryLedger()
    const { seq, position } = await record(ledger, 'k')
    expect(await read(ledger)).toEqual([{ ...eventOf('k'), seq, position }])
  })

  test('any number of times in a transaction numbers them in that order; it resolves with the position of the last', async () => {
    const ledger = new MemoryLedger()
    const before = await record(ledger, 'before')
    const keys = Array.from({ length: 300 }, (_, i) => `k${i}`)
    const { position } = await ledger.transact((tx) => {
      for (const key of keys) ledger.record(tx, eventOf(key))
    })
    const after = await record(ledger, 'after')
    const events = await read(ledger, before.seq)
    expect(events.map(keyOf)).toEqual([...keys, 'after'])
    const positions = events.map((event) => Number(event.position))
    expect(positions).toEqual([...new Set(positions)].sort((a, b) => a - b))
    expect(events.at(-2)?.position).toBe(position)
    expect(events.at(-1)?.position).toBe(after.position)
  })
})

describe('events()', () => {
  test('takes a position for since; what is none rejects INVALID_ARGUMENT', async () => {
    const ledger = new MemoryLedger()
    const { position } = await record(ledger, 'a')
    await record(ledger, 'b')
    expect((await read(ledger, position)).map(keyOf)).toEqual(['b'])
    for (const none of ['', 'x', '-1', '1.5', '1e3', '9'.repeat(30)])
      await expect(read(ledger, none)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })

  test('throws CORRUPT at a damaged event, and goes on behind it', async () => {
    const ledger = new MemoryLedger()
    const recorded = await recordMany(ledger, 3)
    const range = { from: Buffer.alloc(0), to: Buffer.of(0xff) }
    const rows = await ledger.look((view) => readerOf(view).range('events', range))
    const [key, row] = rows[1] as [Buffer, Buffer]
    row[20] = (row[20] as number) ^ 1
    await ledger.transact((tx) => writerOf(tx).put('events', key, row))
    const seen: number[] = []
    const reading = (async () => {
      for await (const page of ledger.events({ since: 0, signal })) seen.push(...page.map(({ seq }) => seq))
    })()
    const detail = expect.stringContaining(`since: ${recorded[1]} resumes behind it`)
    await expect(reading).rejects.toMatchObject({ code: 'CORRUPT', detail })
    expect(seen).toEqual(recorded.slice(0, 1))
    expect(await seqs(ledger, recorded[1])).toEqual(recorded.slice(2))
  })
})

describe('a row of several events', () => {
  const recordTogether = (ledger: MemoryLedger, keys: readonly string[]) =>
    ledger.transact((tx) => {
      for (const key of keys) ledger.record(tx, eventOf(key))
    })
  const rowsOf = (ledger: MemoryLedger) =>
    ledger.look((view) => readerOf(view).range('events', { from: Buffer.alloc(0), to: Buffer.of(0xff) }))

  test('holds those of a group, 64 at most, and 64 KiB of them', async () => {
    const ledger = new MemoryLedger()
    const countRows = async () => (await rowsOf(ledger)).length
    await recordTogether(ledger, ['a', 'b', 'c'])
    expect(await countRows()).toBe(1)
    await recordTogether(
      ledger,
      Array.from({ length: 130 }, (_, i) => `k${i}`),
    )
    expect(await countRows()).toBe(1 + 3)
    await recordTogether(
      ledger,
      Array.from({ length: 6 }, () => 'k'.repeat(30_000)),
    )
    expect(await countRows()).toBe(4 + 3)
    expect(await read(ledger)).toHaveLength(3 + 130 + 6)
  })

  test('is begun at any position in it', async () => {
    const ledger = new MemoryLedger()
    const keys = Array.from({ length: 150 }, (_, i) => `k${i}`)
    await recordTogether(ledger, keys)
    const positions = (await read(ledger)).map(({ position }) => position)
    for (const i of [0, 1, 62, 63, 64, 148]) {
      const behind = await read(ledger, positions[i])
      expect(behind.map(keyOf)).toEqual(keys.slice(i + 1))
    }
  })

  test('that is damaged is CORRUPT behind the events before it, and names the position behind it', async () => {
    const ledger = new MemoryLedger()
    await recordTogether(ledger, ['a', 'b'])
    const damaged = await recordTogether(ledger, ['c', 'd'])
    await recordTogether(ledger, ['e', 'f'])
    const [key, row] = (await rowsOf(ledger))[1] as [Buffer, Buffer]
    row[20] = (row[20] as number) ^ 1
    await ledger.transact((tx) => writerOf(tx).put('events', key, row))
    const seen: string[] = []
    const reading = (async () => {
      for await (const page of ledger.events({ since: 0, signal })) seen.push(...page.map(keyOf))
    })()
    const detail = expect.stringContaining(`2 events up to ${damaged.seq}; since: ${damaged.seq} resumes behind it`)
    await expect(reading).rejects.toMatchObject({ code: 'CORRUPT', detail })
    expect(seen).toEqual(['a', 'b'])
    expect((await read(ledger, damaged.position)).map(keyOf)).toEqual(['e', 'f'])
  })
})

describe('a log that keeps 100 events', () => {
  test('holds the last 100, and some hundred more at most', async () => {
    const ledger = new MemoryLedger({ keepEvents: 100 })
    const recorded: number[] = []
    for (let i = 0; i < 20; i++) {
      recorded.push(...(await recordMany(ledger, 61)))
      const kept = await seqs(ledger)
      expect(kept).toEqual(recorded.slice(-kept.length))
      expect(kept.length).toBeGreaterThanOrEqual(Math.min(100, recorded.length))
      expect(kept.length).toBeLessThan(100 + 256)
    }
  })

  test('holds few more also when each transaction records 1,000', async () => {
    const ledger = new MemoryLedger({ keepEvents: 100 })
    for (let i = 0; i < 5; i++)
      await ledger.transact((tx) => {
        for (let n = 0; n < 1000; n++) ledger.record(tx, eventOf(`k${i}.${n}`))
      })
    await recordMany(ledger, 128)
    expect((await seqs(ledger)).length).toBeLessThan(100 + 256)
  })

  test('throws NOT_FOUND, naming the oldest, for a since whose successors were dropped', async () => {
    const ledger = new MemoryLedger({ keepEvents: 100 })
    const recorded = await recordMany(ledger, 600)
    const [oldest = 0] = await seqs(ledger)
    const behind = recorded[recorded.indexOf(oldest) - 1] as number
    const detail = expect.stringContaining(`the oldest kept is ${oldest}`)
    await expect(read(ledger, behind - 1)).rejects.toMatchObject({ code: 'NOT_FOUND', detail })
    expect((await seqs(ledger, behind))[0]).toBe(oldest)
  })

  test('throws NOT_FOUND to a reader that is overtaken by the dropping', async () => {
    const ledger = new MemoryLedger({ keepEvents: 1000 })
    await recordMany(ledger, 700)
    const reading = (async () => {
      for await (const [first] of ledger.events({ since: 0, signal }) as AsyncIterable<PutEvent[]>)
        if (first?.key === 'k0') for (let i = 0; i < 60; i++) await recordMany(ledger, 50)
    })()
    await expect(reading).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  test('drops nothing for a transaction that fails', async () => {
    const ledger = new MemoryLedger({ keepEvents: 1 })
    const failing = Array.from({ length: 300 }, () =>
      ledger.transact((tx) => {
        ledger.record(tx, eventOf('k'))
        throw new Error('no')
      }),
    )
    const [{ seq }] = await Promise.all([record(ledger, 'k'), Promise.allSettled(failing)])
    expect(await seqs(ledger)).toEqual([seq])
  })
})

test.each([0, -1, 1.5, Number.NaN])('a log that keeps %d events is refused with INVALID_ARGUMENT', (keepEvents) => {
  expect(() => new MemoryLedger({ keepEvents })).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
})
