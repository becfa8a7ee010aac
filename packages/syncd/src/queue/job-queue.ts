import type { Claimed, Failure, Job, JobCounts, JobFilter, NewJob, Place, Queue, Transaction } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import {
  after,
  afterwards,
  decodeRow,
  encodeNumbers,
  encodeRow,
  guard,
  pages,
  type Reader,
  type Row,
  type TreeLedger,
  type Writer,
  write,
} from '@stored/lmdb'
import { MAX_DELAY_MS } from '../work/policy.ts'
import { INNOCENT_MS } from '../work/suspects.ts'
import { claimedOf, type JobRow, JobRows, jobOf } from './job-rows.ts'
import { backendPrefix, dueKey, dueLimit, owedKey, parseDueKey, pauseKey } from './keys.ts'

const NOTHING = Buffer.alloc(0)
const BOOT_KEY = Buffer.from('boot')

/*
 * The life of a job, one row by its place:
 *
 *   enqueue() ──▶ WAITING ──claim()──▶ RUNNING ──complete()──▶ (gone)
 *                  ▲   ▲                 │  └─────park()─────▶ PARKED
 *                  │   └─retry(),giveBack()                     │
 *                  └──────────────────unpark()──────────────────┘
 *
 * (1) A place has at most one row of each state: a waiting one may stand behind a running one, a parked one stands alone.
 * (2) A waiting row has a row in the tree `due` unless it stands behind a running one; it gets it when that one ends.
 * (3) A newer job replaces a waiting or parked one. A running one ends first; if it fails while a newer one waits, it is dropped.
 * (4) `attempts` is raised by `claim`, before the try: a job that kills its process is counted.
 * (5) What was running when its process died has crashed once; from then on only a try that was marked counts as a crash, and only if
 *     no other one was: where several were, each goes on alone. So those who merely ran beside a job that kills its process are not
 *     parked with it. What had run for a minute is innocent, and so are all if the machine was started since.
 * (6) A parked job that is to be tried again has a row in `due` too; `claim` takes it from where it is parked.
 * (7) Waiting and running jobs have a row in the tree `owed`, in the order they were queued: the first is the oldest.
 */
export class JobQueue implements Queue {
  readonly ledger: TreeLedger
  readonly #rows: JobRows
  readonly #listeners = new Set<(backend: string) => void>()

  constructor(ledger: TreeLedger) {
    this.ledger = ledger
    this.#rows = new JobRows(ledger)
  }

  enqueue(tx: Transaction, { op, id, size, backend, key }: NewJob): void {
    const place = { backend, key }
    write(tx, (writer) => {
      const { now } = writer
      this.#dropWaiting(writer, place)
      this.#dropParked(writer, place)
      const row = { op, id, size, attempts: 0, seq: Number(writer.ticket), created: now, due: now }
      this.#wait(writer, place, row, !this.#rows.has('running', place, writer))
    })
    afterwards(tx, () => this.#wake(backend))
  }

  drop(tx: Transaction, place: Place): void {
    guard(tx, (reader) => !this.#rows.has('running', place, reader))
    write(tx, (writer) => {
      this.#dropWaiting(writer, place)
      this.#dropParked(writer, place)
    })
    afterwards(tx, () => this.#wake(place.backend))
  }

  async begun(place: Place): Promise<boolean> {
    return this.#begun(this.ledger, place)
  }

  async isOvertaken(job: Claimed): Promise<boolean> {
    return this.#rows.has('waiting', job)
  }

  expectBegun(tx: Transaction, place: Place, begun: boolean): void {
    guard(tx, (reader) => this.#begun(reader, place) === begun)
  }

  complete(tx: Transaction, job: Claimed): void {
    this.#end(tx, job, () => {})
  }

  async keepCheckpoint(job: Claimed, checkpoint: string): Promise<void> {
    await this.#rewrite(job, (row) => {
      if (row.checkpoint === checkpoint) return row
      // It has got further than before: no crash so far says that it kills its process each time.
      const { crashes: _, marked: __, alone: ___, ...rest } = row
      return { ...rest, checkpoint }
    })
  }

  retry(
    tx: Transaction,
    job: Claimed,
    o: { error?: StorageError; afterMs: number; free?: boolean; anew?: boolean },
  ): void {
    this.#end(tx, job, (writer, { crashes: _, alone: __, retrial: ___, checkpoint, ...row }) => {
      const attempts = row.attempts - (o.free ? 1 : 0)
      const due = writer.now + Math.round(Math.min(o.afterMs, MAX_DELAY_MS))
      const kept = !o.anew && checkpoint !== undefined && { checkpoint }
      const noted = o.error && { error: failureOf(o.error) }
      this.#wait(writer, job, { ...row, ...kept, ...noted, attempts, begun: true, due }, true)
    })
  }

  giveBack(tx: Transaction, job: Claimed): void {
    this.#end(tx, job, (writer, row) => this.#wait(writer, job, { ...row, attempts: row.attempts - 1 }, true))
  }

  park(tx: Transaction, job: Claimed, error: StorageError, { retrialAfterMs }: { retrialAfterMs?: number } = {}): void {
    this.#end(tx, job, (writer, { checkpoint: _, retrial: __, ...row }) => {
      // A driver that refuses a key has written nothing there: then only an earlier try may have landed.
      const isBegun = error.code === 'INVALID_KEY' ? {} : { begun: true as const }
      const parked: JobRow = { ...row, ...isBegun, error: failureOf(error) }
      if (retrialAfterMs === undefined) this.#rows.put(writer, 'parked', job, parked)
      else this.#parkUntil(writer, job, parked, retrialAfterMs)
      this.#count(writer, job.backend, { parked: 1, bytes: job.size })
    })
  }

  unpark(tx: Transaction, place: Place): void {
    write(tx, (writer) => {
      const row = this.#dropParked(writer, place)
      if (!row) return
      const { error: _, crashes: __, alone: ___, rest: ____, ...kept } = row
      this.#wait(writer, place, { ...kept, attempts: 0, due: writer.now }, true)
    })
    afterwards(tx, () => this.#wake(place.backend))
  }

  async claim(
    backend: string,
    o: { max: number; leaseMs: number; key?: string; guard?: (tx: Transaction) => void },
  ): Promise<Claimed[]> {
    const take = (reader: Reader, limit: number, now: number) =>
      o.key === undefined ? this.#due(reader, backend, limit, now) : this.#dueOf(reader, { backend, key: o.key }, now)
    if (this.#isPaused(this.ledger, backend) || take(this.ledger, 1, Date.now()).length === 0) return []
    const { value } = await this.ledger.transact((tx) => {
      const claimed: Claimed[] = []
      o.guard?.(tx)
      write(tx, (writer) => {
        if (this.#isPaused(writer, backend)) return
        const until = writer.now + o.leaseMs
        for (const [i, rowKey] of take(writer, o.max, writer.now).entries()) {
          const place = { backend, key: parseDueKey(rowKey, backend).key }
          // Whatever it leads to: it must not be found again.
          writer.remove('due', rowKey)
          const row = this.#takeWaiting(writer, place) ?? this.#takeParked(writer, place)
          if (!row) continue
          const since = writer.now
          const running = { ...row, attempts: row.attempts + 1, lease: `${writer.ticket}.${i}`, until, since }
          this.#rows.put(writer, 'running', place, running)
          this.#count(writer, backend, { running: 1, bytes: row.size })
          claimed.push(claimedOf(place, running))
        }
      })
      return claimed
    })
    return value
  }

  async choose(
    backend: string,
    { since, nearness }: { since: number; nearness: (job: Job) => number },
  ): Promise<string | null> {
    let best: { key: string; nearness: number } | null = null
    const range = { from: dueKey({ backend, key: '' }, since, 0), to: dueLimit(backend, Date.now()) }
    for await (const page of pages(this.ledger, 'due', range))
      for (const [rowKey] of page) {
        const place = { backend, key: parseDueKey(rowKey, backend).key }
        const row = this.#rows.get('waiting', place)
        const found = row ? nearness(jobOf({ state: 'waiting', place, row })) : Number.POSITIVE_INFINITY
        if (found === 0) return place.key
        if (found < (best?.nearness ?? Number.POSITIVE_INFINITY)) best = { key: place.key, nearness: found }
      }
    return best?.key ?? null
  }

  async mark(job: Claimed, leaseMs: number): Promise<void> {
    await this.#rewrite(job, ({ renewed: _, ...row }, now) => {
      return { ...row, until: now + leaseMs, since: now, marked: true }
    })
  }

  async renew(job: Claimed, leaseMs: number): Promise<void> {
    await this.#rewrite(job, (row, now) => ({ ...row, until: now + leaseMs, renewed: now }))
  }

  async recover(
    now = Number.POSITIVE_INFINITY,
    { guard, boot }: { guard?: (tx: Transaction) => void; boot?: string } = {},
  ): Promise<number> {
    const running = await Array.fromAsync(this.#rows.find({ state: 'running' }))
    const lost = running.filter(({ row }) => !isLeased(row, now))
    const known = this.ledger.get('meta', BOOT_KEY, decodeRow<string>)?.value
    // With leases that ended this process lives on: it lost them by itself.
    const isExplained =
      now !== Number.POSITIVE_INFINITY || (boot !== undefined && known !== undefined && boot !== known)
    const judge = isExplained ? () => unchanged : judgeOf(lost.map(({ row }) => row))
    let count = 0
    for (const { place, row } of lost) if (await this.#putBack(claimedOf(place, row), judge(row), guard)) count++
    // Behind them: what dies in between shall find the same reason.
    if (boot !== undefined && boot !== known && now === Number.POSITIVE_INFINITY)
      await this.ledger.transact((tx) => {
        guard?.(tx)
        write(tx, (writer) => writer.put('meta', BOOT_KEY, encodeRow(boot, writer.ticket)))
      })
    return count
  }

  /** @returns `false`: somebody settled it meanwhile. */
  async #putBack(job: Claimed, verdict: Verdict, guard?: (tx: Transaction) => void): Promise<boolean> {
    try {
      await this.ledger.transact((tx) => {
        guard?.(tx)
        this.#end(tx, job, (writer, row) => this.#wait(writer, job, { ...verdict(row), begun: true }, true))
      })
      return true
    } catch (error) {
      if (StorageError.is(error) && error.code === 'CONFLICT' && !this.#holdsLease(this.ledger, job)) return false
      throw error
    }
  }

  async pause(backend: string): Promise<void> {
    await this.#setPaused(backend, true)
  }

  async resume(backend: string): Promise<void> {
    await this.#makeDue(backend, Date.now())
    await this.#setPaused(backend, false)
  }

  async resumed(backend: string): Promise<number> {
    const row = this.#pauseOf(this.ledger, backend)
    return row && !row.value ? Number(row.ticket) : 0
  }

  async isPaused(backend: string): Promise<boolean> {
    return this.#isPaused(this.ledger, backend)
  }

  async nextDue(backend: string): Promise<number | null> {
    if (this.#isPaused(this.ledger, backend)) return null
    const [first] = this.ledger.range('due', {
      from: backendPrefix(backend),
      to: after(backendPrefix(backend)),
      limit: 1,
    })
    if (!first) return null
    const isMisdated = this.#dueAfter(this.ledger, backend, Date.now() + MAX_DELAY_MS, 1).length > 0
    return isMisdated ? Date.now() : parseDueKey(first[0], backend).due
  }

  async *jobs(filter: JobFilter): AsyncIterable<Job> {
    for await (const found of this.#rows.find(filter))
      if (filter.id === undefined || found.row.id === filter.id) yield jobOf(found)
  }

  async counts(): Promise<Readonly<Record<string, JobCounts>>> {
    return this.#rows.counts()
  }

  onWork(listener: (backend: string) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /**
   * Ends a running job; a newer one that waits behind it takes its turn, otherwise `next` says what becomes of its row.
   */
  #end(tx: Transaction, job: Claimed, next: (writer: Writer, row: JobRow) => void): void {
    guard(tx, (reader) => this.#holdsLease(reader, job))
    write(tx, (writer) => {
      const {
        lease: _,
        until: __,
        marked: ___,
        since: ____,
        renewed: _____,
        ...row
      } = this.#rows.get('running', job, writer) as JobRow
      this.#rows.remove(writer, 'running', job)
      writer.remove('owed', owedKey(job, job.seq))
      this.#count(writer, job.backend, { running: -1, bytes: -job.size })
      const newer = this.#rows.get('waiting', job, writer)
      if (newer) writer.put('due', dueKey(job, newer.due, newer.seq), NOTHING)
      else next(writer, row)
    })
    afterwards(tx, () => this.#wake(job.backend))
  }

  async #rewrite(job: Claimed, change: (row: JobRow, now: number) => JobRow): Promise<void> {
    await this.ledger.transact((tx) => {
      guard(tx, (reader) => this.#holdsLease(reader, job))
      write(tx, (writer) => {
        const row = this.#rows.get('running', job, writer) as JobRow
        this.#rows.put(writer, 'running', job, change(row, tx.now))
      })
    })
  }

  /** Lets what waits for a later time be due at `now`. Each row is met once, whatever is put back meanwhile. */
  async #makeDue(backend: string, now: number): Promise<void> {
    const range = { from: dueLimit(backend, now), to: after(backendPrefix(backend)) }
    for await (const page of pages(this.ledger, 'due', range)) {
      if (page.length === 0) continue
      await this.ledger.transact((tx) => {
        write(tx, (writer) => {
          for (const [rowKey] of page) this.#moveTo(writer, backend, rowKey, now)
        })
      })
    }
  }

  #moveTo(writer: Writer, backend: string, rowKey: Buffer, due: number): void {
    const place = { backend, key: parseDueKey(rowKey, backend).key }
    const row = this.#rows.get('waiting', place, writer)
    // Claimed or replaced since it was read.
    if (!row || !dueKey(place, row.due, row.seq).equals(rowKey)) return
    writer.remove('due', rowKey)
    this.#rows.put(writer, 'waiting', place, { ...row, due })
    writer.put('due', dueKey(place, due, row.seq), NOTHING)
  }

  async #setPaused(backend: string, paused: boolean): Promise<void> {
    await this.ledger.transact((tx) => {
      write(tx, (writer) => writer.put('meta', pauseKey(backend), encodeRow(paused, writer.ticket)))
      afterwards(tx, () => this.#wake(backend))
    })
  }

  #wait(writer: Writer, place: Place, row: JobRow, isDue: boolean): void {
    this.#rows.put(writer, 'waiting', place, row)
    if (isDue) writer.put('due', dueKey(place, row.due, row.seq), NOTHING)
    writer.put('owed', owedKey(place, row.seq), encodeNumbers([row.created]))
    this.#count(writer, place.backend, { waiting: 1, bytes: row.size })
  }

  #dropWaiting(writer: Writer, place: Place): void {
    const row = this.#takeWaiting(writer, place)
    if (row) writer.remove('owed', owedKey(place, row.seq))
  }

  /** Takes it out of those that wait; it is owed all the same. */
  #takeWaiting(writer: Writer, place: Place): JobRow | undefined {
    const row = this.#rows.get('waiting', place, writer)
    if (!row) return undefined
    this.#rows.remove(writer, 'waiting', place)
    writer.remove('due', dueKey(place, row.due, row.seq))
    this.#count(writer, place.backend, { waiting: -1, bytes: -row.size })
    return row
  }

  #dropParked(writer: Writer, place: Place): JobRow | undefined {
    const row = this.#rows.get('parked', place, writer)
    if (!row) return undefined
    this.#rows.remove(writer, 'parked', place)
    if (row.rest !== undefined) writer.remove('due', dueKey(place, row.due, row.seq))
    this.#count(writer, place.backend, { parked: -1, bytes: -row.size })
    return row
  }

  /** Has it met by `claim` as soon as that may be, which is at most in an hour. */
  #parkUntil(writer: Writer, place: Place, row: JobRow, afterMs: number): void {
    const ms = Math.min(afterMs, MAX_DELAY_MS)
    const parked = { ...row, due: writer.now + ms, rest: afterMs - ms }
    this.#rows.put(writer, 'parked', place, parked)
    writer.put('due', dueKey(place, parked.due, parked.seq), NOTHING)
  }

  /** Takes out one that was parked to be tried again, if its time has come. */
  #takeParked(writer: Writer, place: Place): JobRow | undefined {
    const row = this.#rows.get('parked', place, writer)
    if (row?.rest === undefined) return undefined
    if (row.rest > 0) {
      this.#parkUntil(writer, place, row, row.rest)
      return undefined
    }
    this.#dropParked(writer, place)
    writer.put('owed', owedKey(place, row.seq), encodeNumbers([row.created]))
    const { rest: _, ...kept } = row
    return { ...kept, retrial: true }
  }

  #begun(reader: Reader, place: Place): boolean {
    if (this.#rows.has('running', place, reader)) return true
    const states = ['parked', 'waiting'] as const
    return states.some((state) => this.#rows.get(state, place, reader)?.begun === true)
  }

  #holdsLease(reader: Reader, job: Claimed): boolean {
    return this.#rows.get('running', job, reader)?.lease === job.lease
  }

  /** Rows of `due` whose time has come, the longest due first; after them those dated by a clock that was set back since. */
  #due(reader: Reader, backend: string, limit: number, now: number): Buffer[] {
    const range = { from: backendPrefix(backend), to: dueLimit(backend, now), limit }
    const due = reader.range('due', range).map(([key]) => key)
    if (due.length === limit) return due
    return [...due, ...this.#dueAfter(reader, backend, now + MAX_DELAY_MS, limit - due.length)]
  }

  /** The row of `due` of one job, if its time has come. */
  #dueOf(reader: Reader, place: Place, now: number): Buffer[] {
    const row = this.#rows.get('waiting', place, reader)
    if (!row || (row.due > now && row.due <= now + MAX_DELAY_MS)) return []
    const rowKey = dueKey(place, row.due, row.seq)
    return reader.get('due', rowKey, () => true) ? [rowKey] : []
  }

  #dueAfter(reader: Reader, backend: string, time: number, limit: number): Buffer[] {
    const range = { from: dueLimit(backend, time), to: after(backendPrefix(backend)), limit }
    return reader.range('due', range).map(([key]) => key)
  }

  #isPaused(reader: Reader, backend: string): boolean {
    return this.#pauseOf(reader, backend)?.value ?? false
  }

  #pauseOf(reader: Reader, backend: string): Row<boolean> | undefined {
    return reader.get('meta', pauseKey(backend), decodeRow<boolean>)
  }

  #count(writer: Writer, backend: string, by: Partial<JobCounts>): void {
    writer.add('counts', Buffer.from(backend), [by.waiting ?? 0, by.running ?? 0, by.parked ?? 0, by.bytes ?? 0])
  }

  #wake(backend: string): void {
    for (const listener of this.#listeners) listener(backend)
  }
}

/** Not for longer than any lease: the clock may have been set back since. */
function isLeased({ until = 0 }: JobRow, now: number): boolean {
  return until >= now && until - now <= MAX_DELAY_MS
}

/** What becomes of the row of a job that its process died with. */
type Verdict = (row: JobRow) => JobRow

const unchanged: Verdict = (row) => row
const cleared: Verdict = ({ crashes: _, alone: __, retrial: ___, ...row }) => row
const crashed: Verdict = ({ crashes = 0, retrial: _, ...row }) => ({ ...row, crashes: crashes + 1 })
const isolated: Verdict = (row) => ({ ...row, alone: true })

/** @param all What ran when the process died. */
function judgeOf(all: readonly JobRow[]): (row: JobRow) => Verdict {
  // One that crashed before is begun when it is marked: till then it holds its lease, and waits for its turn.
  const isInnocent = ({ crashes, marked, since = 0, renewed = since }: JobRow) =>
    (crashes === undefined || marked === true) && renewed - since >= INNOCENT_MS
  const marked = all.filter((row) => row.marked && !isInnocent(row)).length
  return (row) => {
    if (isInnocent(row)) return cleared
    if (row.crashes === undefined) return crashed
    if (!row.marked) return unchanged
    return marked === 1 ? crashed : isolated
  }
}

function failureOf({ code, message }: StorageError): Failure {
  return { code, message }
}
