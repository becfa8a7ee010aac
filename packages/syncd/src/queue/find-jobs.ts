import { setImmediate } from 'node:timers/promises'
import type { JobCounts, JobFilter, Place } from '@stored/core'
import {
  after,
  decodeNumbers,
  decodeRow,
  END,
  type Reader,
  readerOf,
  scan,
  type Tree,
  type TreeLedger,
  type Walk,
} from '@stored/ledger'
import type { FoundJob, JobRow, JobRows, State } from './job-rows.ts'
import { backendPrefix, owedKey, parseOwedKey, parsePlaceKey } from './keys.ts'

const STATES: readonly State[] = ['running', 'parked', 'waiting']
const NOTHING = Buffer.alloc(0)
/** Rows that are read in one look: each leads to one or two others. With 500 of them a turn took 20 ms on a busy machine. */
const PAGE = 150

/**
 * What `read` makes of the rows of a range, in pages, none empty, a look for each: what it reads besides is of the same moment.
 *
 * @throws The signal's reason, before the next page is read.
 */
export async function* pagesOf<T>(
  ledger: TreeLedger,
  tree: Tree,
  { from, to, signal }: Walk,
  read: (reader: Reader, key: Buffer, value: Buffer) => T | undefined,
): AsyncGenerator<T[], void, void> {
  for (let next: Uint8Array = from; ; await setImmediate()) {
    signal?.throwIfAborted()
    const start = next
    const page = await ledger.look((view) => {
      const reader = readerOf(view)
      const rows = reader.range(tree, { from: start, to, limit: PAGE })
      const last = rows.length === PAGE ? rows.at(-1)?.[0] : undefined
      return { last, found: rows.map(([key, value]) => read(reader, key, value)).filter((one) => one !== undefined) }
    })
    if (page.found.length > 0) yield page.found
    if (!page.last) return
    next = Buffer.concat([page.last, Buffer.of(0)])
  }
}

/** Finds jobs, of all backends or of one. */
export class JobFinder {
  readonly #ledger: TreeLedger
  readonly #rows: JobRows

  constructor(ledger: TreeLedger, rows: JobRows) {
    this.#ledger = ledger
    this.#rows = rows
  }

  /** Those that run, those that are parked, then those that wait, of each backend in the order they were queued: in pages. */
  async *find({ backend, key, state, signal }: Omit<JobFilter, 'id'>): AsyncGenerator<FoundJob[], void, void> {
    const states = state === undefined ? STATES : [state]
    if (key === undefined) return yield* this.#walk(states, { ...rangeOf(backend), signal })
    yield await this.#ledger.look((view) => this.#atKey(readerOf(view), key, states, backend))
  }

  counts(reader: Reader): Record<string, JobCounts> {
    // Without the names of Object, which a backend may have.
    const counts: Record<string, JobCounts> = Object.create(null)
    for (const [key, value] of scan(reader, 'counts', NOTHING, END)) {
      const backend = key.toString()
      const [waiting = 0, running = 0, parked = 0, bytes = 0] = decodeNumbers(value)
      const oldest = oldestOf(reader, backend)
      counts[backend] = { waiting, running, parked, bytes, ...(oldest !== undefined && { oldest }) }
    }
    return counts
  }

  async *#walk(states: readonly State[], range: Walk): AsyncGenerator<FoundJob[], void, void> {
    const ran = states.includes('running') ? new Set<string>() : null
    for (const state of states) {
      if (state === 'waiting') yield* this.#walkOwed(range, ran)
      else
        for await (const page of this.#walkTree(state, range)) {
          if (state === 'running')
            for (const { place, row } of page) ran?.add(owedKey(place, row.seq).toString('latin1'))
          yield page
        }
    }
  }

  #walkTree(state: 'running' | 'parked', range: Walk): AsyncGenerator<FoundJob[], void, void> {
    return pagesOf(this.#ledger, state, range, (_, key, value): FoundJob => {
      return { state, place: parsePlaceKey(key), row: decodeRow<JobRow>(value).value }
    })
  }

  /**
   * Those that wait; not by the tree they lie in, where every key that is bound lies too.
   *
   * @param ran Those found running just before, by their rows in `owed`; `null`: such are not asked for. A job that was claimed since
   *   is found too, and one that waits again is not found twice.
   */
  #walkOwed(range: Walk, ran: ReadonlySet<string> | null): AsyncGenerator<FoundJob[], void, void> {
    return pagesOf(this.#ledger, 'owed', range, (reader, key): FoundJob | undefined => {
      if (ran?.size && ran.has(key.toString('latin1'))) return undefined
      const { seq, ...place } = parseOwedKey(key)
      const waiting = this.#rows.get(reader, 'waiting', place)
      if (waiting?.seq === seq) return { state: 'waiting', place, row: waiting }
      const running = ran && this.#rows.get(reader, 'running', place)
      return running?.seq === seq ? { state: 'running', place, row: running } : undefined
    })
  }

  /** Every backend that ever had a job is counted. */
  #atKey(reader: Reader, key: string, states: readonly State[], only: string | undefined): FoundJob[] {
    const counted = () => [...scan(reader, 'counts', NOTHING, END)].map(([name]) => name.toString())
    const places = (only === undefined ? counted() : [only]).map((backend) => ({ backend, key }))
    const find = (state: State, place: Place): FoundJob[] => {
      const row = this.#rows.get(reader, state, place)
      return row ? [{ state, place, row }] : []
    }
    return states.flatMap((state) => places.flatMap((place) => find(state, place)))
  }
}

function oldestOf(reader: Reader, backend: string): number | undefined {
  const [first] = reader.range('owed', { ...rangeOf(backend), limit: 1 })
  return first && decodeNumbers(first[1])[0]
}

function rangeOf(backend: string | undefined): { from: Buffer; to: Buffer } {
  if (backend === undefined) return { from: NOTHING, to: END }
  const prefix = backendPrefix(backend)
  return { from: prefix, to: after(prefix) }
}
