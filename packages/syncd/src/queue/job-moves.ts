import type { JobCounts, Place } from '@stored/core'
import { encodeNumbers, type Writer } from '@stored/ledger'
import type { JobRow, JobRows } from './job-rows.ts'
import { dueKey, owedKey } from './keys.ts'
import { MAX_DELAY_MS } from './limits.ts'

const NOTHING = Buffer.alloc(0)

/** Moves jobs between the trees: the rows of `due` and `owed`, and the counts, go with them. */
export class JobMoves {
  readonly #rows: JobRows

  constructor(rows: JobRows) {
    this.#rows = rows
  }

  wait(writer: Writer, place: Place, row: JobRow, isDue: boolean): void {
    this.#rows.put(writer, 'waiting', place, row)
    if (isDue) this.fallDue(writer, place, row)
    this.#owe(writer, place, row)
    count(writer, place, { waiting: 1, bytes: row.size })
  }

  fallDue(writer: Writer, place: Place, { due, seq }: JobRow): void {
    writer.put('due', dueKey(place, due, seq), NOTHING)
  }

  run(writer: Writer, place: Place, row: JobRow): void {
    this.#rows.put(writer, 'running', place, row)
    count(writer, place, { running: 1, bytes: row.size })
  }

  stop(writer: Writer, place: Place, row: JobRow): void {
    this.#rows.remove(writer, 'running', place)
    writer.remove('owed', owedKey(place, row.seq))
    count(writer, place, { running: -1, bytes: -row.size })
  }

  dropWaiting(writer: Writer, place: Place): void {
    const row = this.takeWaiting(writer, place)
    if (row) writer.remove('owed', owedKey(place, row.seq))
  }

  /** Takes it out of those that wait; it is owed all the same. */
  takeWaiting(writer: Writer, place: Place): JobRow | undefined {
    const row = this.#rows.get(writer, 'waiting', place)
    if (!row) return undefined
    this.#rows.remove(writer, 'waiting', place)
    writer.remove('due', dueKey(place, row.due, row.seq))
    count(writer, place, { waiting: -1, bytes: -row.size })
    return row
  }

  /** @param afterMs When `claim` may take it again. @default never */
  park(writer: Writer, place: Place, row: JobRow, afterMs?: number): void {
    if (afterMs === undefined) this.#rows.put(writer, 'parked', place, row)
    else this.#parkUntil(writer, place, row, afterMs)
    count(writer, place, { parked: 1, bytes: row.size })
  }

  dropParked(writer: Writer, place: Place): JobRow | undefined {
    const row = this.#rows.get(writer, 'parked', place)
    if (!row) return undefined
    this.#rows.remove(writer, 'parked', place)
    if (row.rest !== undefined) writer.remove('due', dueKey(place, row.due, row.seq))
    count(writer, place, { parked: -1, bytes: -row.size })
    return row
  }

  /** Takes out one that was parked to be tried again, if its time has come. */
  takeParked(writer: Writer, place: Place, row: JobRow): JobRow | undefined {
    writer.remove('due', dueKey(place, row.due, row.seq))
    if (row.rest) {
      this.#parkUntil(writer, place, row, row.rest)
      return undefined
    }
    this.dropParked(writer, place)
    this.#owe(writer, place, row)
    const { rest: _, ...kept } = row
    return { ...kept, retrial: true }
  }

  /** `claim` meets it as soon as its time has come, and at least once an hour. */
  #parkUntil(writer: Writer, place: Place, row: JobRow, afterMs: number): void {
    const ms = Math.min(afterMs, MAX_DELAY_MS)
    const parked = { ...row, due: writer.now + ms, rest: afterMs - ms }
    this.#rows.put(writer, 'parked', place, parked)
    this.fallDue(writer, place, parked)
  }

  /** One of a former format, under the lease that it had. */
  restoreRunning(writer: Writer, place: Place, row: JobRow): void {
    this.run(writer, place, row)
    this.#owe(writer, place, row)
  }

  /** One of a former format, to be tried again when it was to be. */
  restoreParked(writer: Writer, place: Place, row: JobRow): void {
    this.park(writer, place, row)
    if (row.rest !== undefined) this.fallDue(writer, place, row)
  }

  #owe(writer: Writer, place: Place, { seq, created }: JobRow): void {
    writer.put('owed', owedKey(place, seq), encodeNumbers([created]))
  }
}

function count(writer: Writer, { backend }: Place, by: Partial<JobCounts>): void {
  writer.add('counts', Buffer.from(backend), [by.waiting ?? 0, by.running ?? 0, by.parked ?? 0, by.bytes ?? 0])
}
