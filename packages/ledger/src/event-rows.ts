import type { DurableEvent, Logged } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import { decodeRow, sealRow } from './row.ts'

/** Events of one row at most: a page of a reader is some rows. */
const MOST_EVENTS = 64
const MOST_BYTES = 64 * 1024

/*
 * A row of the log: the events of a group, in order. Its key: position of the last one (6 bytes) · how many (2), so that a reader finds
 * the row that holds what follows a position, and rows are counted without being read. Its value: a row of [position, event, …].
 */

/** What the plans of a group recorded, and the rows that it takes. */
export class EventRows {
  readonly #rows: { readonly parts: string[]; last: number; bytes: number }[] = []
  count = 0

  /** @param json The event. */
  add(position: number, json: string): void {
    let row = this.#rows.at(-1)
    if (!row || row.parts.length === MOST_EVENTS || row.bytes + json.length > MOST_BYTES) {
      row = { parts: [], last: 0, bytes: 0 }
      this.#rows.push(row)
    }
    row.parts.push(`${position},${json}`)
    row.bytes += json.length
    row.last = position
    this.count++
  }

  /** How many rows more these may take. */
  rowsFor(events: readonly string[]): number {
    if (events.length === 0) return 0
    const free = MOST_EVENTS - (this.#rows.at(-1)?.parts.length ?? MOST_EVENTS)
    let bytes = this.#rows.at(-1)?.bytes ?? 0
    for (const event of events) bytes += event.length
    // A row that is full of bytes, and the one behind it, hold more than MOST_BYTES.
    return Math.ceil(Math.max(0, events.length - free) / MOST_EVENTS) + Math.ceil((2 * bytes) / MOST_BYTES) - 1
  }

  *encode(): Generator<{ key: Buffer; value: Buffer }> {
    for (const { parts, last } of this.#rows) {
      const key = Buffer.allocUnsafe(8)
      key.writeUIntBE(last, 0, 6)
      key.writeUInt16BE(parts.length, 6)
      yield { key, value: sealRow(`[${parts.join()}]`, last) }
    }
  }
}

/** Where rows begin that hold a position, or later ones. */
export function eventsFrom(position: number): Buffer {
  const key = Buffer.allocUnsafe(6)
  key.writeUIntBE(position, 0, 6)
  return key
}

/** The last position in a row, by its key. */
export function lastOf(key: Buffer): number {
  return key.readUIntBE(0, 6)
}

/** How many events a row holds, by its key. */
export function eventsIn(key: Buffer): number {
  return key.readUInt16BE(6)
}

/** The events of some rows behind a position, up to a row that is damaged. */
export function decodeEvents(
  rows: readonly [Buffer, Buffer][],
  since: number,
): { events: Logged<DurableEvent>[]; damage?: unknown } {
  const events: Logged<DurableEvent>[] = []
  try {
    for (const row of rows) {
      const parts = partsOf(row)
      for (let i = 0; i < parts.length; i += 2) {
        const seq = parts[i] as number
        if (seq > since) events.push(Object.assign(parts[i + 1] as DurableEvent, { seq, position: String(seq) }))
      }
    }
    return { events }
  } catch (damage) {
    return { events, damage }
  }
}

/** Damaged events are told apart from the end of the log: who can do without them resumes behind them. */
function partsOf([key, row]: readonly [Buffer, Buffer]): (number | DurableEvent)[] {
  const last = lastOf(key)
  let cause: unknown
  try {
    const { value, ticket } = decodeRow<(number | DurableEvent)[]>(row)
    if (Number(ticket) === last && value.length === 2 * eventsIn(key)) return value
  } catch (error) {
    cause = error
  }
  const count = eventsIn(key)
  const detail = `${count === 1 ? 'event' : `${count} events up to`} ${last}; since: ${last} resumes behind it`
  throw new StorageError(StorageError.is(cause) ? cause.code : 'CORRUPT', { op: 'events' }, { cause, detail })
}
