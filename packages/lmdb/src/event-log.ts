import type { DurableEvent, Logged, Transaction } from '@stored/core'
import { checkOption, is, StorageError } from '@stored/core/backend'
import { decodeNumbers } from './commit.ts'
import { type Reader, steps, type Writer, write } from './ledger.ts'
import { decodeRow, encodeRow } from './row.ts'
import { pages } from './table.ts'

const DEFAULT_KEEP = 100_000
/** Events of one process between two looks at how many there are. */
const TRIM_EVERY = 128
/** Rows that one commit drops at most: more than come between two looks, few enough to slow nobody down. */
const TRIM_MOST = 256

const ALL = { from: Buffer.alloc(0), to: Buffer.of(0xff) }
/** How many events there are. In this tree, behind them: rows of `meta` are read by many a commit, which would sum up each time. */
const COUNT_KEY = Buffer.of(0xff, 0)
/** The number of the newest event that was dropped. */
const DROPPED_KEY = Buffer.of(0xff, 1)

export interface EventLogOptions {
  /** Events that are kept; older ones are dropped, some hundred at a time. @default 100,000 */
  keepEvents?: number
}

/**
 * The durable log: tree `events`, by the number of the commit. How many there are is counted, not looked up, and looked at
 * once in a while only, so that an event costs a commit one row.
 */
export class EventLog {
  readonly #reader: Reader
  readonly #lastSeq: () => number
  readonly #keep: number
  /** A process looks with its first event: one that ends soon may never come to another look. */
  #untilTrim = 1

  /** @param lastSeq The number of the last commit. */
  constructor(reader: Reader, lastSeq: () => number, { keepEvents = DEFAULT_KEEP }: EventLogOptions = {}) {
    checkOption('keepEvents', keepEvents, is.whole(1), { op: 'open' })
    this.#reader = reader
    this.#lastSeq = lastSeq
    this.#keep = keepEvents
  }

  record(tx: Transaction, event: DurableEvent): void {
    const collected = steps(tx)
    // A second one would take the first one's row.
    if (collected.hasEvent)
      throw new StorageError('INTERNAL', { op: 'commit' }, { detail: 'a second event in one transaction' })
    collected.hasEvent = true
    write(tx, (writer) => {
      writer.put('events', keyOf(writer.seq), encodeRow(event, writer.seq))
      writer.add('events', COUNT_KEY, [1])
      if (--this.#untilTrim <= 0) this.#trim(writer)
    })
  }

  async *events({ since, signal }: { since: number; signal: AbortSignal }): AsyncGenerator<Logged<DurableEvent>> {
    this.#checkReached(since)
    let last = since
    for await (const page of pages(this.#reader, 'events', { ...ALL, from: keyOf(since + 1), signal })) {
      // Looked at after the page was read: what is dropped from now on is in it already.
      this.#checkKept(last)
      for (const [key, row] of page) {
        signal.throwIfAborted()
        last = seqOf(key)
        yield { ...decode(row, last), seq: last }
      }
    }
  }

  /** Whoever was further than the store is would be told nothing until it gets there, and miss what happened until then. */
  #checkReached(since: number): void {
    const last = this.#lastSeq()
    if (since <= last) return
    throw new StorageError(
      'NOT_FOUND',
      { op: 'events' },
      {
        detail: `the last commit is ${last}, not yet ${since}: of another store, or of this one before it was restored`,
      },
    )
  }

  #checkKept(since: number): void {
    const dropped = this.#reader.get('events', DROPPED_KEY, seqOf)
    if (since === 0 || dropped === undefined || since >= dropped) return
    const [oldest] = this.#reader.range('events', { ...ALL, limit: 1 })
    throw new StorageError(
      'NOT_FOUND',
      { op: 'events' },
      {
        detail:
          `events after ${since} were dropped` +
          (oldest ? `; the oldest kept is ${seqOf(oldest[0])}` : '; none is kept'),
      },
    )
  }

  #trim(writer: Writer): void {
    this.#untilTrim = TRIM_EVERY
    const [count = 0] = writer.get('events', COUNT_KEY, decodeNumbers) ?? []
    const excess = Math.min(count - this.#keep, TRIM_MOST)
    if (excess <= 0) return
    const oldest = writer.range('events', { ...ALL, limit: excess })
    for (const [key] of oldest) writer.remove('events', key)
    writer.add('events', COUNT_KEY, [-oldest.length])
    const newest = oldest.at(-1)
    if (newest) writer.put('events', DROPPED_KEY, newest[0])
  }
}

function keyOf(seq: number): Buffer {
  const key = Buffer.allocUnsafe(6)
  key.writeUIntBE(seq, 0, 6)
  return key
}

function seqOf(key: Buffer): number {
  return key.readUIntBE(0, 6)
}

/** A damaged event is told apart from its end: who can do without it resumes behind it. */
function decode(row: Buffer, seq: number): DurableEvent {
  const at = { op: 'events' }
  const detail = `event ${seq}; since: ${seq} resumes behind it`
  try {
    const { value, seq: written } = decodeRow<DurableEvent>(row)
    if (written === seq) return value
  } catch (cause) {
    throw new StorageError(StorageError.is(cause) ? cause.code : 'CORRUPT', at, { cause, detail })
  }
  throw new StorageError('CORRUPT', at, { detail })
}
