import { setImmediate } from 'node:timers/promises'
import type { DurableEvent, Ledger, Logged, Position } from '@stored/core'
import { checkOptions, is, type OptionRulesOf, StorageError } from '@stored/core/backend'
import type { Added } from './draft.ts'
import { decodeEvents, EventRows, eventsFrom, eventsIn, lastOf } from './event-rows.ts'
import { type Reader, readerOf, type Writer } from './ledger.ts'
import { decodeNumbers, encodeNumbers } from './numbers.ts'
import type { Sink } from './sink.ts'
import { PAGE } from './table.ts'

/** Events of one process between two looks at how many there are. */
const TRIM_EVERY = 128
/** Events that one commit drops at most, beside as many as it and those since the last look wrote: few enough to slow nobody down. */
const TRIM_MOST = 256
/** Rows of the first page of a reader, when nobody knows how many events a row holds. */
const FIRST_ROWS = 16

const ALL = { from: Buffer.alloc(0), to: Buffer.of(0xff) }
/** How many events there are. In this tree, behind them: rows of `meta` are read by many a commit, which would sum up each time. */
const COUNT_KEY = Buffer.of(0xff, 0)
/** The position of the newest event that was dropped. */
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
 * The durable log: tree `events`, a row for the events of a group. How many there are is counted, not looked up, and looked at
 * once in a while only.
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

  /** Writes what a group recorded. @returns What counts it; `null`: nothing was. */
  append(sink: Sink, events: EventRows): Added | null {
    if (events.count === 0) return null
    for (const { key, value } of events.encode()) sink.put('events', key, value)
    this.#untilTrim -= events.count
    return { tree: 'events', key: COUNT_KEY, deltas: [events.count] }
  }

  async *events(o: {
    since: number | Position
    signal: AbortSignal
  }): AsyncGenerator<Logged<DurableEvent>[], void, void> {
    const { signal } = o
    let limit = FIRST_ROWS
    for (let last = numberOf(o.since); ; await setImmediate()) {
      signal.throwIfAborted()
      const [since, rows] = [last, limit]
      const read = await this.#ledger.look((view) => this.#page(readerOf(view), since, rows))
      const page = ofOnePage(read)
      const { events, damage } = decodeEvents(page, since)
      if (events.length > 0) yield events
      if (damage) throw damage
      if (page.length === read.length && read.length < limit) return
      last = events.at(-1)?.seq ?? last
      // As many rows as hold a page of events: one may hold one, or those of many plans.
      limit = Math.min(PAGE, 2 * limit, Math.ceil((PAGE * page.length) / events.length))
    }
  }

  /** Of one moment: what was dropped by then is not missed. */
  #page(reader: Reader, since: number, limit: number): [key: Buffer, value: Buffer][] {
    this.#checkReached(reader, since)
    checkKept(reader, since)
    return reader.range('events', { ...ALL, from: eventsFrom(since + 1), limit })
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
    this.#untilTrim = TRIM_EVERY
    const [count = 0] = sink.get('events', COUNT_KEY, decodeNumbers) ?? []
    let excess = Math.min(count - this.#keep, most)
    let left = count
    let newest: Buffer | undefined
    for (let key = this.#oldest(sink, excess); key; key = this.#oldest(sink, excess)) {
      sink.remove('events', key)
      left -= eventsIn(key)
      excess -= eventsIn(key)
      newest = key
    }
    if (!newest) return
    sink.put('events', COUNT_KEY, encodeNumbers([left]))
    sink.put('events', DROPPED_KEY, eventsFrom(lastOf(newest)))
  }

  /** The key of the oldest row, if all its events are too many, and there is room to drop it. */
  #oldest(sink: Sink, excess: number): Buffer | undefined {
    if (excess <= 0) return undefined
    const [oldest] = sink.range('events', { ...ALL, limit: 1 })
    return oldest && eventsIn(oldest[0]) <= excess && hasRoom(sink, 1) ? oldest[0] : undefined
  }
}

/** The first rows, as far as their events are no more than a page: decoding one must not hold everybody else up. */
function ofOnePage(rows: [key: Buffer, value: Buffer][]): [key: Buffer, value: Buffer][] {
  let count = 0
  const end = rows.findIndex(([key]) => {
    count += eventsIn(key)
    return count > PAGE
  })
  return end === -1 ? rows : rows.slice(0, Math.max(1, end))
}

/** Writes an event of a former format, with its number. */
export function restoreEvent(writer: Writer, seq: number, json: string): void {
  const rows = new EventRows()
  rows.add(seq, json)
  for (const { key, value } of rows.encode()) writer.put('events', key, value)
  writer.add('events', COUNT_KEY, [1])
}

/** @param seq Of the newest event that was dropped. */
export function restoreDropped(writer: Writer, seq: number): void {
  writer.put('events', DROPPED_KEY, eventsFrom(seq))
}

function checkKept(reader: Reader, since: number): void {
  const dropped = reader.get('events', DROPPED_KEY, lastOf)
  if (since === 0 || dropped === undefined || since >= dropped) return
  const [oldest] = decodeEvents(reader.range('events', { ...ALL, limit: 1 }), 0).events
  throw new StorageError(
    'NOT_FOUND',
    { op: 'events' },
    {
      detail: `events after ${since} were dropped; ${oldest ? `the oldest kept is ${oldest.seq}` : 'none is kept'}`,
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
