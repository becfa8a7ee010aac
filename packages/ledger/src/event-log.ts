import { setImmediate } from 'node:timers/promises'
import type { DurableEvent, Ledger, Logged, Position } from '@stored/core'
import { checkOptions, is, type OptionRulesOf, StorageError } from '@stored/core/backend'
import type { Added } from './draft.ts'
import { type Reader, readerOf, type Writer } from './ledger.ts'
import { decodeNumbers, encodeNumbers } from './numbers.ts'
import { decodeRow, sealRow } from './row.ts'
import type { Sink } from './sink.ts'
import { PAGE } from './table.ts'

/** Events of one process between two looks at how many there are. */
const TRIM_EVERY = 128
/** Rows that one commit drops at most, beside as many as it and those since the last look wrote: few enough to slow nobody down. */
const TRIM_MOST = 256

const ALL = { from: Buffer.alloc(0), to: Buffer.of(0xff) }
/** How many events there are. In this tree, behind them: rows of `meta` are read by many a commit, which would sum up each time. */
const COUNT_KEY = Buffer.of(0xff, 0)
/** The number of the newest event that was dropped. */
const DROPPED_KEY = Buffer.of(0xff, 1)

/** How much of the log is kept. */
export interface EventLogOptions {
  /** Events that are kept. Older ones are dropped, some hundred at a time. @default 100,000 */
  keepEvents?: number
}

/** What a ledger that keeps a log takes for it. */
export const LOG_OPTIONS = {
  keepEvents: {
    ...is.whole(1),
    default: 100_000,
    otherwise: '100,000',
    doc: 'Events that are kept. Older ones are dropped, some hundred at a time.',
  },
} as const satisfies OptionRulesOf<EventLogOptions>

/**
 * The durable log: tree `events`, by the number of the commit. How many there are is counted, not looked up, and looked at
 * once in a while only, so that an event costs a commit one row.
 */
export class EventLog {
  readonly #ledger: Pick<Ledger, 'look'>
  readonly #lastSeq: (reader: Reader) => number
  readonly #keep: number
  /** A process looks with its first event: one that ends soon may never come to another look. */
  #untilTrim = 1

  /** @param lastSeq The number of the last commit. */
  constructor(ledger: Pick<Ledger, 'look'>, lastSeq: (reader: Reader) => number, options: EventLogOptions) {
    const { keepEvents } = checkOptions(options as Required<EventLogOptions>, LOG_OPTIONS, { op: 'open' })
    this.#ledger = ledger
    this.#lastSeq = lastSeq
    this.#keep = keepEvents
  }

  /** @param json The event. @returns What counts it. */
  append(sink: Sink, seq: number, json: string): Added {
    sink.put('events', keyOf(seq), sealRow(json, seq))
    this.#untilTrim--
    return { tree: 'events', key: COUNT_KEY, deltas: [1] }
  }

  async *events(o: {
    since: number | Position
    signal: AbortSignal
  }): AsyncGenerator<Logged<DurableEvent>[], void, void> {
    const { signal } = o
    for (let last = numberOf(o.since); ; await setImmediate()) {
      signal.throwIfAborted()
      const since = last
      const page = await this.#ledger.look((view) => this.#page(readerOf(view), since))
      const { events, damage } = decoded(page)
      if (events.length > 0) yield events
      if (damage) throw damage
      if (page.length < PAGE) return
      last = events.at(-1)?.seq ?? last
    }
  }

  /** Of one moment: what was dropped by then is not missed. */
  #page(reader: Reader, since: number): [key: Buffer, value: Buffer][] {
    this.#checkReached(reader, since)
    checkKept(reader, since)
    return reader.range('events', { ...ALL, from: keyOf(since + 1), limit: PAGE })
  }

  /** Whoever was further than the store is would be told nothing until it gets there, and miss what happened until then. */
  #checkReached(reader: Reader, since: number): void {
    const last = this.#lastSeq(reader)
    if (since <= last) return
    throw new StorageError(
      'NOT_FOUND',
      { op: 'events' },
      {
        detail: `the last commit is ${last}, before ${since}: that number belongs to another store, or to this one before it was restored`,
      },
    )
  }

  /** At the end of a group, when all its events are counted. */
  trim(sink: Sink): void {
    if (this.#untilTrim > 0) return
    const most = TRIM_MOST - this.#untilTrim
    const [count = 0] = sink.get('events', COUNT_KEY, decodeNumbers) ?? []
    const excess = Math.min(count - this.#keep, most)
    this.#untilTrim = TRIM_EVERY
    if (excess <= 0 || !hasRoom(sink, excess)) return
    const oldest = sink.range('events', { ...ALL, limit: excess })
    for (const [key] of oldest) sink.remove('events', key)
    sink.put('events', COUNT_KEY, encodeNumbers([count - oldest.length]))
    const newest = oldest.at(-1)
    if (newest) sink.put('events', DROPPED_KEY, newest[0])
  }
}

/** Writes an event of a former format, with its number. */
export function restoreEvent(writer: Writer, seq: number, json: string): void {
  writer.put('events', keyOf(seq), sealRow(json, seq))
  writer.add('events', COUNT_KEY, [1])
}

/** @param seq Of the newest event that was dropped. */
export function restoreDropped(writer: Writer, seq: number): void {
  writer.put('events', DROPPED_KEY, keyOf(seq))
}

function checkKept(reader: Reader, since: number): void {
  const dropped = reader.get('events', DROPPED_KEY, seqOf)
  if (since === 0 || dropped === undefined || since >= dropped) return
  const [oldest] = reader.range('events', { ...ALL, limit: 1 })
  throw new StorageError(
    'NOT_FOUND',
    { op: 'events' },
    {
      detail: `events after ${since} were dropped; ${oldest ? `the oldest kept is ${seqOf(oldest[0])}` : 'none is kept'}`,
    },
  )
}

/** Without room on the disk the log stays longer until there is some: dropping events must fail nobody's commit. */
function hasRoom(sink: Sink, rows: number): boolean {
  try {
    sink.expect?.(rows + 2, 0)
    return true
  } catch (error) {
    if (StorageError.is(error) && error.code === 'NO_SPACE') return false
    throw error
  }
}

/** @throws {StorageError} INVALID_ARGUMENT: it was never a position of this kind of ledger. */
function numberOf(since: number | Position): number {
  const number = typeof since === 'string' && /^\d{1,15}$/.test(since) ? Number(since) : since
  if (typeof number === 'number') return number
  throw new StorageError('INVALID_ARGUMENT', { op: 'events' }, { detail: `not a position of this store: ${since}` })
}

function keyOf(seq: number): Buffer {
  const key = Buffer.allocUnsafe(6)
  key.writeUIntBE(seq, 0, 6)
  return key
}

function seqOf(key: Buffer): number {
  return key.readUIntBE(0, 6)
}

/** The events of a page, up to one that is damaged. */
function decoded(page: readonly [Buffer, Buffer][]): { events: Logged<DurableEvent>[]; damage?: unknown } {
  const events: Logged<DurableEvent>[] = []
  try {
    for (const [key, row] of page) {
      const seq = seqOf(key)
      events.push(Object.assign(decode(row, seq), { seq, position: String(seq) }))
    }
    return { events }
  } catch (damage) {
    return { events, damage }
  }
}

/** A damaged event is told apart from its end: who can do without it resumes behind it. */
function decode(row: Buffer, seq: number): DurableEvent {
  let cause: unknown
  try {
    const { value, ticket } = decodeRow<DurableEvent>(row)
    if (Number(ticket) === seq) return value
  } catch (error) {
    cause = error
  }
  const detail = `event ${seq}; since: ${seq} resumes behind it`
  throw new StorageError(StorageError.is(cause) ? cause.code : 'CORRUPT', { op: 'events' }, { cause, detail })
}
