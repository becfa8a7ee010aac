import type { Claimed, Failure, Job, JobCounts, JobFilter, NewJob, Place, Queue, Transaction } from '@stored/core'
import type { StorageError } from '@stored/core/backend'
import {
  after,
  afterwards,
  decodeNumbers,
  decodeRow,
  END,
  encodeRow,
  guard,
  type Reader,
  type Row,
  rowSeq,
  scan,
  Table,
  type Tree,
  type TreeLedger,
  type Writer,
  write,
} from '@stored/lmdb'
import { backendPrefix, dueKey, dueLimit, parseDueKey, parsePlaceKey, placeKey } from './keys.ts'

/** A job as it is kept; where it lies says its state. */
interface JobRow {
  readonly op: Job['op']
  readonly id: Job['id']
  readonly size: number
  readonly attempts: number
  readonly crashes?: number
  readonly created: number
  readonly due: number
  readonly error?: Failure
  /** Only of a running job. */
  readonly lease?: string
  readonly until?: number
}

const NOTHING = Buffer.alloc(0)

/*
 * The life of a job, one row by its place:
 *
 *   enqueue() ──▶ WAITING ──claim()──▶ RUNNING ──complete()──▶ (gone)
 *                  ▲   ▲                 │  └─────park()─────▶ PARKED
 *                  │   └─────retry()─────┘                      │
 *                  └──────────────────unpark()──────────────────┘
 *
 * (1) A place has at most one row of each state: a waiting one may stand behind a running one, a parked one stands alone.
 * (2) A waiting row has a row in the tree `due` unless it stands behind a running one; it gets it when that one ends.
 * (3) A newer job replaces a waiting or parked one. A running one ends first; if it fails while a newer one waits, it is dropped.
 * (4) `attempts` is raised by `claim`, before the try: a job that kills its process is counted.
 */
export class JobQueue implements Queue {
  readonly ledger: TreeLedger
  readonly #waiting: Table<JobRow>
  readonly #listeners = new Set<(backend: string) => void>()

  constructor(ledger: TreeLedger) {
    this.ledger = ledger
    this.#waiting = new Table(ledger, 'keys', 'W')
  }

  enqueue(tx: Transaction, { op, id, size, backend, key }: NewJob): void {
    const place = { backend, key }
    write(tx, (writer) => {
      const now = Date.now()
      this.#dropWaiting(writer, place)
      this.#dropParked(writer, place)
      this.#wait(writer, place, { op, id, size, attempts: 0, created: now, due: now }, !this.#isRunning(writer, place))
    })
    afterwards(tx, () => this.#wake(backend))
  }

  async begun(place: Place): Promise<boolean> {
    return this.#begun(this.ledger, place)
  }

  async isOvertaken(job: Claimed): Promise<boolean> {
    return this.#waiting.seq(this.#waitingKey(job)) !== undefined
  }

  expectBegun(tx: Transaction, place: Place, begun: boolean): void {
    guard(tx, (reader) => this.#begun(reader, place) === begun)
  }

  complete(tx: Transaction, job: Claimed): void {
    this.#end(tx, job, () => {})
  }

  retry(tx: Transaction, job: Claimed, o: { error: StorageError; afterMs: number; free?: boolean }): void {
    this.#end(tx, job, (writer) => {
      const attempts = job.attempts - (o.free ? 1 : 0)
      const row = { ...rowOf(job), attempts, due: Date.now() + Math.round(o.afterMs), error: failureOf(o.error) }
      this.#wait(writer, job, row, true)
    })
  }

  park(tx: Transaction, job: Claimed, error: StorageError): void {
    this.#end(tx, job, (writer) => {
      writer.put('parked', placeKey(job), encodeRow({ ...rowOf(job), error: failureOf(error) }, writer.seq))
      this.#count(writer, job.backend, { parked: 1, bytes: job.size })
    })
  }

  async unpark(filter: JobFilter): Promise<number> {
    let count = 0
    for await (const job of this.jobs({ ...filter, state: 'parked' })) {
      let moved = false
      await this.ledger.transact((tx) => {
        write(tx, (writer) => {
          const row = this.#dropParked(writer, job)
          if (!row) return
          moved = true
          const { error: _, crashes: __, ...kept } = row
          this.#wait(writer, job, { ...kept, attempts: 0, due: Date.now() }, true)
        })
        afterwards(tx, () => this.#wake(job.backend))
      })
      if (moved) count++
    }
    return count
  }

  async claim(backend: string, o: { max: number; leaseMs: number }): Promise<Claimed[]> {
    if (this.#due(this.ledger, backend, 1).length === 0) return []
    const claimed: Claimed[] = []
    await this.ledger.transact((tx) => {
      write(tx, (writer) => {
        const until = Date.now() + o.leaseMs
        for (const [i, rowKey] of this.#due(writer, backend, o.max).entries()) {
          const place = { backend, key: parseDueKey(rowKey, backend).key }
          const row = this.#dropWaiting(writer, place)
          // Whatever it led to: it must not be found again.
          writer.remove('due', rowKey)
          if (!row) continue
          const running = { ...row, attempts: row.attempts + 1, lease: `${writer.seq}.${i}`, until }
          writer.put('running', placeKey(place), encodeRow(running, writer.seq))
          this.#count(writer, backend, { running: 1, bytes: row.size })
          claimed.push(jobOf(place, 'running', running) as Claimed)
        }
      })
    })
    return claimed
  }

  async renew(job: Claimed, leaseMs: number): Promise<void> {
    await this.ledger.transact((tx) => {
      guard(tx, (reader) => this.#holdsLease(reader, job))
      write(tx, (writer) => {
        const row = { ...rowOf(job), lease: job.lease, until: Date.now() + leaseMs }
        writer.put('running', placeKey(job), encodeRow(row, writer.seq))
      })
    })
  }

  async recover(now = Number.POSITIVE_INFINITY): Promise<number> {
    let count = 0
    for (const [, place, row] of this.#scanJobs({ state: 'running' })) {
      if ((row.until ?? 0) >= now) continue
      const job = jobOf(place, 'running', { ...row, crashes: (row.crashes ?? 0) + 1 })
      await this.ledger.transact((tx) => {
        this.#end(tx, job as Claimed, (writer) => this.#wait(writer, job, rowOf(job), true))
        afterwards(tx, () => this.#wake(job.backend))
      })
      count++
    }
    return count
  }

  async nextDue(backend: string): Promise<number | null> {
    const prefix = backendPrefix(backend)
    const [first] = this.ledger.range('due', { from: prefix, to: after(prefix), limit: 1 })
    return first ? parseDueKey(first[0], backend).due : null
  }

  async *jobs(filter: JobFilter): AsyncIterable<Job> {
    for (const [state, place, row] of this.#scanJobs(filter)) {
      const job = jobOf(place, state, row)
      if (filter.key !== undefined && job.key !== filter.key) continue
      if (filter.id === undefined || job.id === filter.id) yield job
    }
  }

  async counts(): Promise<Readonly<Record<string, JobCounts>>> {
    const counts: Record<string, JobCounts> = {}
    for (const [key, value] of scan(this.ledger, 'counts', NOTHING, END)) {
      const [waiting = 0, running = 0, parked = 0, bytes = 0] = decodeNumbers(value)
      counts[key.toString()] = { waiting, running, parked, bytes }
    }
    return counts
  }

  onWork(listener: (backend: string) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Ends a running job; a newer one that waits behind it takes its turn, otherwise `next` says what becomes of it. */
  #end(tx: Transaction, job: Claimed, next: (writer: Writer) => void): void {
    guard(tx, (reader) => this.#holdsLease(reader, job))
    write(tx, (writer) => {
      writer.remove('running', placeKey(job))
      this.#count(writer, job.backend, { running: -1, bytes: -job.size })
      const newer = this.#waiting.get(this.#waitingKey(job), writer)
      if (newer) writer.put('due', dueKey(job, newer.value.due, newer.seq), NOTHING)
      else next(writer)
    })
    afterwards(tx, () => this.#wake(job.backend))
  }

  #wait(writer: Writer, place: Place, row: JobRow, isDue: boolean): void {
    this.#waiting.putNow(writer, this.#waitingKey(place), row)
    if (isDue) writer.put('due', dueKey(place, row.due, writer.seq), NOTHING)
    this.#count(writer, place.backend, { waiting: 1, bytes: row.size })
  }

  #dropWaiting(writer: Writer, place: Place): JobRow | undefined {
    const rowKey = this.#waitingKey(place)
    const row = this.#waiting.get(rowKey, writer)
    if (!row) return undefined
    writer.remove('keys', rowKey)
    writer.remove('due', dueKey(place, row.value.due, row.seq))
    this.#count(writer, place.backend, { waiting: -1, bytes: -row.value.size })
    return row.value
  }

  #dropParked(writer: Writer, place: Place): JobRow | undefined {
    const row = getJob(writer, 'parked', place)?.value
    if (!row) return undefined
    writer.remove('parked', placeKey(place))
    this.#count(writer, place.backend, { parked: -1, bytes: -row.size })
    return row
  }

  #begun(reader: Reader, place: Place): boolean {
    const waiting = this.#waiting.get(this.#waitingKey(place), reader)?.value
    const isBegun = this.#isRunning(reader, place) || (waiting?.attempts ?? 0) > 0
    return isBegun || getJob(reader, 'parked', place) !== undefined
  }

  #isRunning(reader: Reader, place: Place): boolean {
    return reader.get('running', placeKey(place), rowSeq) !== undefined
  }

  #holdsLease(reader: Reader, job: Claimed): boolean {
    return getJob(reader, 'running', job)?.value.lease === job.lease
  }

  /** Rows of `due` whose time has come, the longest due first. */
  #due(reader: Reader, backend: string, limit: number): Buffer[] {
    const range = { from: backendPrefix(backend), to: dueLimit(backend, Date.now()), limit }
    return reader.range('due', range).map(([key]) => key)
  }

  #count(writer: Writer, backend: string, by: Partial<JobCounts>): void {
    writer.add('counts', Buffer.from(backend), [by.waiting ?? 0, by.running ?? 0, by.parked ?? 0, by.bytes ?? 0])
  }

  *#scanJobs({ backend, state }: JobFilter): Generator<[Job['state'], Place, JobRow]> {
    for (const tree of ['running', 'parked'] as const) {
      if (state !== undefined && state !== tree) continue
      const prefix = backend === undefined ? NOTHING : backendPrefix(backend)
      for (const [key, value] of scan(this.ledger, tree, prefix, backend === undefined ? END : after(prefix)))
        yield [tree, parsePlaceKey(key), decodeRow<JobRow>(value).value]
    }
    if (state !== undefined && state !== 'waiting') return
    for (const [key, value] of scan(this.ledger, 'keys', NOTHING, END)) {
      const end = key.indexOf(0)
      const suffix = this.#waiting.suffix(key, end)?.toString()
      if (suffix !== undefined && (backend === undefined || suffix === backend))
        yield ['waiting', { backend: suffix, key: key.toString('utf8', 0, end) }, this.#waiting.decode(value).value]
    }
  }

  #waitingKey({ backend, key }: Place): Buffer {
    return this.#waiting.key(Buffer.from(key), Buffer.from(backend))
  }

  #wake(backend: string): void {
    for (const listener of this.#listeners) listener(backend)
  }
}

function getJob(reader: Reader, tree: Tree, place: Place): Row<JobRow> | undefined {
  return reader.get(tree, placeKey(place), decodeRow<JobRow>)
}

function jobOf({ backend, key }: Place, state: Job['state'], row: JobRow): Job {
  const { until: _, ...kept } = row
  return { ...kept, backend, key, state }
}

function rowOf({ op, id, size, attempts, crashes, created, due, error }: Job): JobRow {
  return { op, id, size, attempts, ...(crashes && { crashes }), created, due, ...(error && { error }) }
}

function failureOf({ code, message }: StorageError): Failure {
  return { code, message }
}
