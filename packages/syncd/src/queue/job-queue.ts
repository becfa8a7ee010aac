import type { Claimed, Job, JobCounts, JobFilter, NewJob, Place, Queue, Transaction, View } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import {
  after,
  decodeRow,
  encodeRow,
  pages,
  type Reader,
  type Row,
  readerOf,
  type TreeLedger,
  type Writer,
  writerOf,
} from '@stored/ledger'
import { judgeOf, unchanged, type Verdict } from './crashes.ts'
import { JobFinder, pagesOf } from './find-jobs.ts'
import { JobMoves } from './job-moves.ts'
import { claimedOf, failureOf, type JobRow, JobRows, jobOf } from './job-rows.ts'
import { backendPrefix, dueKey, dueLimit, owedKey, parseDueKey, pauseKey, seqAt } from './keys.ts'
import { MAX_DELAY_MS } from './limits.ts'

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
  readonly #moves: JobMoves
  readonly #finder: JobFinder
  readonly #listeners = new Set<(backend: string) => void>()

  constructor(ledger: TreeLedger) {
    this.ledger = ledger
    this.#rows = new JobRows(ledger)
    this.#moves = new JobMoves(this.#rows)
    this.#finder = new JobFinder(ledger, this.#rows)
  }

  enqueue(tx: Transaction, { op, id, size, backend, key }: NewJob): void {
    const writer = writerOf(tx)
    const { now } = tx
    const place = { backend, key }
    this.#moves.dropWaiting(writer, place)
    this.#moves.dropParked(writer, place)
    const isBehind = this.#rows.has(writer, 'running', place)
    const seq = seqAt(now, (seq) => isBehind && has(writer, 'owed', owedKey(place, seq)))
    this.#moves.wait(writer, place, { op, id, size, attempts: 0, seq, created: now, due: now }, !isBehind)
    tx.afterwards(() => this.#wake(backend))
  }

  drop(tx: Transaction, place: Place): void {
    const writer = writerOf(tx)
    if (this.#rows.has(writer, 'running', place)) throw conflict('a job runs there')
    this.#moves.dropWaiting(writer, place)
    this.#moves.dropParked(writer, place)
    tx.afterwards(() => this.#wake(place.backend))
  }

  begun(view: View, place: Place): boolean {
    const reader = readerOf(view)
    if (this.#rows.has(reader, 'running', place)) return true
    const states = ['parked', 'waiting'] as const
    return states.some((state) => this.#rows.get(reader, state, place)?.begun === true)
  }

  isRunning(view: View, place: Place): boolean {
    return this.#rows.has(readerOf(view), 'running', place)
  }

  isOvertaken(view: View, job: Claimed): boolean {
    return this.#rows.has(readerOf(view), 'waiting', job)
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
      const due = tx.now + Math.round(Math.min(o.afterMs, MAX_DELAY_MS))
      const kept = !o.anew && checkpoint !== undefined && { checkpoint }
      const noted = o.error && { error: failureOf(o.error) }
      this.#moves.wait(writer, job, { ...row, ...kept, ...noted, attempts, begun: true, due }, true)
    })
  }

  giveBack(tx: Transaction, job: Claimed): void {
    this.#end(tx, job, (writer, row) => {
      this.#moves.wait(writer, job, { ...row, attempts: row.attempts - 1 }, true)
    })
  }

  park(tx: Transaction, job: Claimed, error: StorageError, o: { retrialAfterMs?: number } = {}): void {
    this.#end(tx, job, (writer, { checkpoint: _, retrial: __, ...row }) => {
      // A driver that refuses a key has written nothing there: then only an earlier try may have landed.
      const isBegun = error.code === 'INVALID_KEY' ? {} : { begun: true as const }
      this.#moves.park(writer, job, { ...row, ...isBegun, error: failureOf(error) }, o.retrialAfterMs)
    })
  }

  unpark(tx: Transaction, place: Place): void {
    const writer = writerOf(tx)
    const row = this.#moves.dropParked(writer, place)
    if (!row) return
    const { error: _, crashes: __, alone: ___, rest: ____, ...kept } = row
    this.#moves.wait(writer, place, { ...kept, attempts: 0, due: tx.now }, true)
    tx.afterwards(() => this.#wake(place.backend))
  }

  async claim(
    backend: string,
    o: { max: number; leaseMs: number; key?: string; fence?: (view: View) => void },
  ): Promise<Claimed[]> {
    while (await this.#hasDue(backend, o.key)) {
      const { value } = await this.ledger.transact((tx) => this.#claim(tx, backend, o))
      // All that was met may have led nowhere, and be gone now: there may be more behind it.
      if (value.claimed.length > 0 || value.met === 0) return value.claimed
    }
    return []
  }

  /** @returns What was claimed, and how many rows of `due` were met. */
  #claim(
    tx: Transaction,
    backend: string,
    { max, leaseMs, key, fence }: { max: number; leaseMs: number; key?: string; fence?: (view: View) => void },
  ): { claimed: Claimed[]; met: number } {
    fence?.(tx)
    const writer = writerOf(tx)
    if (isPaused(writer, backend)) return { claimed: [], met: 0 }
    const met = key === undefined ? hintsOf(writer, backend, max) : this.#dueOf(writer, { backend, key }, tx.now)
    const claimed: Claimed[] = []
    for (const rowKey of met) {
      const place = { backend, key: parseDueKey(rowKey, backend).key }
      const row = this.#take(writer, place, rowKey)
      if (!row) continue
      const lease = `${tx.ticket}.${claimed.length}`
      const running = { ...row, attempts: row.attempts + 1, lease, until: tx.now + leaseMs, since: tx.now }
      this.#moves.run(writer, place, running)
      claimed.push(claimedOf(place, running))
    }
    return { claimed, met: met.length }
  }

  /** The job that a row of `due` leads to. A row that leads to none is removed, so that it is not met again. */
  #take(writer: Writer, place: Place, rowKey: Buffer): JobRow | undefined {
    const leadsTo = (row: JobRow | undefined) => row && dueKey(place, row.due, row.seq).equals(rowKey)
    if (leadsTo(this.#rows.get(writer, 'waiting', place)) && !this.#rows.has(writer, 'running', place))
      return this.#moves.takeWaiting(writer, place)
    const parked = this.#rows.get(writer, 'parked', place)
    if (parked?.rest !== undefined && leadsTo(parked)) return this.#moves.takeParked(writer, place, parked)
    writer.remove('due', rowKey)
    return undefined
  }

  async choose(
    backend: string,
    { since, nearness }: { since: number; nearness: (job: Job) => number },
  ): Promise<string | null> {
    let best: { key: string; nearness: number } | null = null
    const range = { from: dueKey({ backend, key: '' }, since, 0), to: dueLimit(backend, Date.now()) }
    const due = pagesOf(this.ledger, 'due', range, (reader, rowKey) => {
      const place = { backend, key: parseDueKey(rowKey, backend).key }
      const row = this.#rows.get(reader, 'waiting', place)
      return row && jobOf({ state: 'waiting', place, row })
    })
    for await (const page of due)
      for (const job of page) {
        const found = nearness(job)
        if (found === 0) return job.key
        if (found < (best?.nearness ?? Number.POSITIVE_INFINITY)) best = { key: job.key, nearness: found }
      }
    return best?.key ?? null
  }

  async mark(job: Claimed, leaseMs: number): Promise<void> {
    await this.#rewrite(job, ({ renewed: _, ...row }, now) => ({
      ...row,
      until: now + leaseMs,
      since: now,
      marked: true,
    }))
  }

  async renew(job: Claimed, leaseMs: number): Promise<void> {
    await this.#rewrite(job, (row, now) => ({ ...row, until: now + leaseMs, renewed: now }))
  }

  async recover(
    now = Number.POSITIVE_INFINITY,
    { fence, boot }: { fence?: (view: View) => void; boot?: string } = {},
  ): Promise<number> {
    const running = (await Array.fromAsync(this.#finder.find({ state: 'running' }))).flat()
    const lost = running.filter(({ row }) => !isLeased(row, now))
    const known = await this.ledger.look((view) => readerOf(view).get('meta', BOOT_KEY, decodeRow<string>)?.value)
    // With leases that ended this process lives on: it lost them by itself.
    const isExplained =
      now !== Number.POSITIVE_INFINITY || (boot !== undefined && known !== undefined && boot !== known)
    const judge = isExplained ? () => unchanged : judgeOf(lost.map(({ row }) => row))
    let count = 0
    for (const { place, row } of lost) if (await this.#putBack(claimedOf(place, row), judge(row), fence)) count++
    // Behind them: a recovery that dies in between finds the same reason again.
    if (boot !== undefined && boot !== known && now === Number.POSITIVE_INFINITY)
      await this.ledger.transact((tx) => {
        fence?.(tx)
        writerOf(tx).put('meta', BOOT_KEY, encodeRow(boot, tx.ticket))
      })
    return count
  }

  /** @returns `false`: it was settled after all. */
  async #putBack(job: Claimed, verdict: Verdict, fence?: (view: View) => void): Promise<boolean> {
    const { value } = await this.ledger.transact((tx) => {
      fence?.(tx)
      if (!this.#ours(tx, job)) return false
      this.#end(tx, job, (writer, row) => this.#moves.wait(writer, job, { ...verdict(row), begun: true }, true))
      return true
    })
    return value
  }

  async pause(backend: string): Promise<void> {
    await this.#setPaused(backend, true)
  }

  async resume(backend: string): Promise<void> {
    await this.#makeDue(backend, Date.now())
    await this.#setPaused(backend, false)
  }

  async resumed(backend: string): Promise<string | null> {
    const row = await this.ledger.look((view) => pauseOf(readerOf(view), backend))
    return row && !row.value ? String(row.ticket) : null
  }

  isPaused(backend: string): Promise<boolean> {
    return this.ledger.look((view) => isPaused(readerOf(view), backend))
  }

  nextDue(backend: string): Promise<number | null> {
    const now = Date.now()
    return this.ledger.look((view) => {
      const reader = readerOf(view)
      if (isPaused(reader, backend)) return null
      const prefix = backendPrefix(backend)
      const [first] = reader.range('due', { from: prefix, to: after(prefix), limit: 1 })
      if (!first) return null
      const isMisdated = reader.range('due', { ...misdated(backend, now), limit: 1 }).length > 0
      return isMisdated ? now : parseDueKey(first[0], backend).due
    })
  }

  async *jobs({ id, ...filter }: JobFilter): AsyncIterable<readonly Job[]> {
    for await (const found of this.#finder.find(filter)) {
      const page = id === undefined ? found : found.filter(({ row }) => row.id === id)
      if (page.length > 0) yield page.map(jobOf)
    }
  }

  counts(): Promise<Readonly<Record<string, JobCounts>>> {
    return this.ledger.look((view) => this.#finder.counts(readerOf(view)))
  }

  onWork(listener: (backend: string) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /**
   * Ends a running job; a newer one that waits behind it takes its turn, otherwise `next` says what becomes of its row.
   *
   * @throws {StorageError} CONFLICT: the lease is lost.
   */
  #end(tx: Transaction, job: Claimed, next: (writer: Writer, row: JobRow) => void): void {
    const writer = writerOf(tx)
    const running = this.#requireOurs(tx, job)
    this.#moves.stop(writer, job, running)
    const newer = this.#rows.get(writer, 'waiting', job)
    const { lease: _, until: __, marked: ___, since: ____, renewed: _____, ...row } = running
    if (newer) this.#moves.fallDue(writer, job, newer)
    else next(writer, row)
    tx.afterwards(() => this.#wake(job.backend))
  }

  async #rewrite(job: Claimed, change: (row: JobRow, now: number) => JobRow): Promise<void> {
    await this.ledger.transact((tx) => {
      this.#rows.put(writerOf(tx), 'running', job, change(this.#requireOurs(tx, job), tx.now))
    })
  }

  #requireOurs(view: View, job: Claimed): JobRow {
    const row = this.#ours(view, job)
    if (!row) throw conflict('the lease is lost')
    return row
  }

  #ours(view: View, job: Claimed): JobRow | undefined {
    const row = this.#rows.get(readerOf(view), 'running', job)
    return row?.lease === job.lease ? row : undefined
  }

  /** Lets what waits for a later time be due at `now`. Each row is met once, whatever is put back since. */
  async #makeDue(backend: string, now: number): Promise<void> {
    const range = { from: dueLimit(backend, now), to: after(backendPrefix(backend)) }
    for await (const page of pages(this.ledger, 'due', range)) {
      if (page.length === 0) continue
      await this.ledger.transact((tx) => {
        for (const [rowKey] of page) this.#moveTo(writerOf(tx), backend, rowKey, now)
      })
    }
  }

  #moveTo(writer: Writer, backend: string, rowKey: Buffer, due: number): void {
    const place = { backend, key: parseDueKey(rowKey, backend).key }
    const row = this.#rows.get(writer, 'waiting', place)
    // Claimed or replaced since it was read.
    if (!row || !dueKey(place, row.due, row.seq).equals(rowKey)) return
    writer.remove('due', rowKey)
    this.#rows.put(writer, 'waiting', place, { ...row, due })
    this.#moves.fallDue(writer, place, { ...row, due })
  }

  async #setPaused(backend: string, paused: boolean): Promise<void> {
    await this.ledger.transact((tx) => {
      writerOf(tx).put('meta', pauseKey(backend), encodeRow(paused, tx.ticket))
      tx.afterwards(() => this.#wake(backend))
    })
  }

  /** Whether a claim may find something: without it each look of an idle lane would be a commit. */
  #hasDue(backend: string, key: string | undefined): Promise<boolean> {
    const now = Date.now()
    return this.ledger.look((view) => {
      const reader = readerOf(view)
      if (isPaused(reader, backend)) return false
      if (key !== undefined) return this.#dueOf(reader, { backend, key }, now).length > 0
      return dueBy(backend, now).some((range) => reader.range('due', { ...range, limit: 1 }).length > 0)
    })
  }

  /** The row of `due` of one job, if its time has come. */
  #dueOf(reader: Reader, place: Place, now: number): Buffer[] {
    const row = this.#rows.get(reader, 'waiting', place)
    if (!row || (row.due > now && row.due <= now + MAX_DELAY_MS)) return []
    const rowKey = dueKey(place, row.due, row.seq)
    return has(reader, 'due', rowKey) ? [rowKey] : []
  }

  #wake(backend: string): void {
    for (const listener of this.#listeners) listener(backend)
  }
}

/** Rows of `due` that may lead to jobs whose time has come. Claimers do not conflict by looking, only by taking the same job. */
function hintsOf(writer: Writer, backend: string, max: number): Buffer[] {
  const hints: Buffer[] = []
  for (const range of dueBy(backend, writer.now))
    if (hints.length < max)
      hints.push(...writer.hint('due', { ...range, limit: max - hints.length }).map(([key]) => key))
  return hints
}

/** The longest due first; after them those dated by a clock that was set back since. */
function dueBy(backend: string, now: number) {
  return [{ from: backendPrefix(backend), to: dueLimit(backend, now) }, misdated(backend, now)]
}

function misdated(backend: string, now: number) {
  return { from: dueLimit(backend, now + MAX_DELAY_MS), to: after(backendPrefix(backend)) }
}

function isPaused(reader: Reader, backend: string): boolean {
  return pauseOf(reader, backend)?.value ?? false
}

function pauseOf(reader: Reader, backend: string): Row<boolean> | undefined {
  return reader.get('meta', pauseKey(backend), decodeRow<boolean>)
}

function has(reader: Reader, tree: 'due' | 'owed', key: Buffer): boolean {
  return reader.get(tree, key, () => true) ?? false
}

/** Not for longer than any lease: the clock may have been set back since. */
function isLeased({ until = 0 }: JobRow, now: number): boolean {
  return until >= now && until - now <= MAX_DELAY_MS
}

function conflict(detail: string): StorageError {
  return new StorageError('CONFLICT', { op: 'commit' }, { detail })
}
