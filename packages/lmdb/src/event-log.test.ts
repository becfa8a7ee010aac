import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { DurableEvent, PutEvent } from '@stored/core'
import { MemoryLedger, type TreeLedger, writerOf } from '@stored/ledger'
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { LmdbLedger } from './lmdb-ledger.ts'

const { signal } = new AbortController()

const directories: string[] = []
afterAll(() => Promise.all(directories.map((directory) => rm(directory, { recursive: true }))))

async function temporary(): Promise<string> {
  const directory = await mkdtemp(path.join(tmpdir(), 'stored-events-'))
  directories.push(directory)
  return directory
}

const implementations: { name: string; open: (keepEvents?: number) => Promise<TreeLedger> }[] = [
  {
    name: 'MemoryLedger',
    open: async (keepEvents) => new MemoryLedger(keepEvents === undefined ? {} : { keepEvents }),
  },
  {
    name: 'LmdbLedger',
    open: async (keepEvents) =>
      LmdbLedger.open({ path: await temporary(), reserve: 0, ...(keepEvents !== undefined && { keepEvents }) }),
  },
]

function eventOf(key: string): PutEvent {
  return { type: 'put', checksum: `sha256:${'0'.repeat(64)}`, key, size: 1, isNew: true, time: 1_732_844_100_000 }
}

const record = (ledger: TreeLedger, key: string) => ledger.transact((tx) => ledger.record(tx, eventOf(key)))

async function recordMany(ledger: TreeLedger, count: number): Promise<number[]> {
  const commits = await Promise.all(Array.from({ length: count }, (_, i) => record(ledger, `k${i}`)))
  return commits.map(({ seq }) => seq)
}

const keyOf = (event: DurableEvent) => ('key' in event ? event.key : event.type)
const read = (ledger: TreeLedger, since: number | string = 0) => Array.fromAsync(ledger.events({ since, signal }))
const seqs = async (ledger: TreeLedger, since = 0) => (await read(ledger, since)).map(({ seq }) => seq)

describe.each(implementations)('$name', ({ open }) => {
  describe('record()', () => {
    test('writes the event with the number of its commit', async () => {
      await using ledger = disposed(await open())
      const { seq, position } = await record(ledger, 'k')
      expect(await read(ledger)).toEqual([{ ...eventOf('k'), seq, position }])
    })

    test('any number of times in a transaction numbers them in that order; it resolves with the position of the last', async () => {
      await using ledger = disposed(await open())
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

    test('in a plan that throws writes nothing', async () => {
      await using ledger = disposed(await open())
      const error = new Error('no')
      const failing = ledger.transact((tx) => {
        ledger.record(tx, eventOf('k'))
        throw error
      })
      await expect(failing).rejects.toBe(error)
      expect(await read(ledger)).toEqual([])
    })

    test('of what is no JSON rejects, and fails no other of the same turn', async () => {
      await using ledger = disposed(await open())
      const circular: Record<string, unknown> = { ...eventOf('k') }
      circular.self = circular
      const outcomes = await Promise.allSettled([
        record(ledger, 'a'),
        ledger.transact((tx) => ledger.record(tx, circular as never)),
        record(ledger, 'b'),
      ])
      expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
      expect((await read(ledger)).map(keyOf)).toEqual(['a', 'b'])
    })
  })

  describe('events()', () => {
    test('yields what lies behind since, in the order of commits, over any number of pages', async () => {
      await using ledger = disposed(await open())
      const recorded = await recordMany(ledger, 1203)
      expect(await seqs(ledger)).toEqual(recorded)
      expect(await seqs(ledger, recorded[700])).toEqual(recorded.slice(701))
      expect(await seqs(ledger, recorded.at(-1))).toEqual([])
    })

    test('throws NOT_FOUND for a since that no commit has come to', async () => {
      await using ledger = disposed(await open())
      const { seq } = await record(ledger, 'k')
      expect(await read(ledger, seq)).toEqual([])
      for (const ahead of [seq + 1, Number.MAX_SAFE_INTEGER])
        await expect(read(ledger, ahead)).rejects.toMatchObject({ code: 'NOT_FOUND', at: { op: 'events' } })
    })

    test('takes a position for since; what is none rejects INVALID_ARGUMENT', async () => {
      await using ledger = disposed(await open())
      const { position } = await record(ledger, 'a')
      await record(ledger, 'b')
      expect((await read(ledger, position)).map(keyOf)).toEqual(['b'])
      for (const none of ['', 'x', '-1', '1.5', '1e3', '9'.repeat(30)])
        await expect(read(ledger, none)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    })

    test('passes over commits that recorded nothing', async () => {
      await using ledger = disposed(await open())
      const a = await record(ledger, 'a')
      const between = await ledger.transact(() => {})
      const b = await record(ledger, 'b')
      expect(await seqs(ledger)).toEqual([a.seq, b.seq])
      expect(await seqs(ledger, between.seq)).toEqual([b.seq])
    })

    test('aborted throws the reason', async () => {
      await using ledger = disposed(await open())
      await record(ledger, 'k')
      const reason = new Error('enough')
      const events = ledger.events({ since: 0, signal: AbortSignal.abort(reason) })
      await expect(Array.fromAsync(events)).rejects.toBe(reason)
    })

    test('throws CORRUPT at a damaged event, and goes on behind it', async () => {
      await using ledger = disposed(await open())
      const recorded = await recordMany(ledger, 3)
      const [key, row] = ledger.range('events', { from: Buffer.alloc(0), to: Buffer.of(0xff) })[1] as [Buffer, Buffer]
      row[20] = (row[20] as number) ^ 1
      await ledger.transact((tx) => writerOf(tx).put('events', key, row))
      const seen: number[] = []
      const reading = (async () => {
        for await (const { seq } of ledger.events({ since: 0, signal })) seen.push(seq)
      })()
      const detail = expect.stringContaining(`since: ${recorded[1]} resumes behind it`)
      await expect(reading).rejects.toMatchObject({ code: 'CORRUPT', detail })
      expect(seen).toEqual(recorded.slice(0, 1))
      expect(await seqs(ledger, recorded[1])).toEqual(recorded.slice(2))
    })
  })

  describe('a log that keeps 100 events', () => {
    test('holds the last 100, and some hundred more at most', async () => {
      await using ledger = disposed(await open(100))
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
      await using ledger = disposed(await open(100))
      for (let i = 0; i < 5; i++)
        await ledger.transact((tx) => {
          for (let n = 0; n < 1000; n++) ledger.record(tx, eventOf(`k${i}.${n}`))
        })
      await recordMany(ledger, 128)
      expect((await seqs(ledger)).length).toBeLessThan(100 + 256)
    })

    test('throws NOT_FOUND, naming the oldest, for a since whose successors were dropped', async () => {
      await using ledger = disposed(await open(100))
      const recorded = await recordMany(ledger, 600)
      const [oldest = 0] = await seqs(ledger)
      const behind = recorded[recorded.indexOf(oldest) - 1] as number
      const detail = expect.stringContaining(`the oldest kept is ${oldest}`)
      await expect(read(ledger, behind - 1)).rejects.toMatchObject({ code: 'NOT_FOUND', detail })
      expect((await seqs(ledger, behind))[0]).toBe(oldest)
    })

    test('throws NOT_FOUND to a reader that is overtaken by the dropping', async () => {
      await using ledger = disposed(await open(1000))
      await recordMany(ledger, 700)
      const reading = (async () => {
        for await (const { key } of ledger.events({ since: 0, signal }) as AsyncIterable<PutEvent>)
          if (key === 'k0') for (let i = 0; i < 60; i++) await recordMany(ledger, 50)
      })()
      await expect(reading).rejects.toMatchObject({ code: 'NOT_FOUND' })
    })

    test('drops nothing for a transaction that fails', async () => {
      await using ledger = disposed(await open(1))
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

  test.each([0, -1, 1.5, Number.NaN])('of %d events is refused with INVALID_ARGUMENT', async (keepEvents) => {
    await expect(open(keepEvents)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })

  test('a reader that resumes anywhere, while commits go on, sees each event once and in order', async () => {
    const commit = fc.record({
      kind: fc.constant('commit' as const),
      events: fc.array(fc.boolean(), { maxLength: 40 }),
    })
    const resume = fc.record({ kind: fc.constant('resume' as const), reader: fc.nat(2), most: fc.nat(30) })
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(commit, resume), { maxLength: 20 }), async (actions) => {
        await using ledger = disposed(await open())
        const recorded: string[] = []
        const readers = [new Consumer(ledger), new Consumer(ledger), new Consumer(ledger)]
        let count = 0
        for (const action of actions) {
          if (action.kind === 'resume') {
            await readers[action.reader]?.read(action.most)
            continue
          }
          const keys = action.events.map((isEvent) => (isEvent ? `k${count++}` : null))
          // A reader is at work meanwhile.
          const others = readers[0]?.read(Number.POSITIVE_INFINITY)
          await Promise.all(keys.map((key) => (key === null ? ledger.transact(() => {}) : record(ledger, key))))
          await others
          recorded.push(...keys.filter((key) => key !== null))
        }
        for (const reader of readers) {
          await reader.read(Number.POSITIVE_INFINITY)
          expect(reader.seen).toEqual(recorded)
        }
      }),
      { numRuns: 40 },
    )
  })
})

test('LmdbLedger keeps to its number of events when each process records only one', async () => {
  const directory = await temporary()
  const openAgain = () => LmdbLedger.open({ path: directory, reserve: 0, keepEvents: 2 })
  const recorded: number[] = []
  for (let i = 0; i < 6; i++) {
    await using ledger = disposed(await openAgain())
    recorded.push((await record(ledger, `k${i}`)).seq)
  }
  await using ledger = disposed(await openAgain())
  const kept = await seqs(ledger)
  expect(kept).toEqual(recorded.slice(-kept.length))
  expect([2, 3]).toContain(kept.length)
})

/** Reads some events, goes away, and comes back for more. */
class Consumer {
  readonly #ledger: TreeLedger
  readonly seen: string[] = []
  #since = 0

  constructor(ledger: TreeLedger) {
    this.#ledger = ledger
  }

  async read(most: number): Promise<void> {
    let left = most
    for await (const event of this.#ledger.events({ since: this.#since, signal })) {
      if (left-- <= 0) return
      this.seen.push(keyOf(event))
      this.#since = event.seq
    }
  }
}

function disposed(ledger: TreeLedger): TreeLedger & AsyncDisposable {
  return Object.assign(ledger, { [Symbol.asyncDispose]: () => ledger.close() })
}
