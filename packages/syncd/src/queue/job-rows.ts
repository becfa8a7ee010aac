import type { Claimed, Job, JobCounts, JobFilter, Place } from '@stored/core'
import {
  after,
  decodeNumbers,
  decodeRow,
  END,
  encodeRow,
  pages,
  type Reader,
  rowTicket,
  scan,
  Table,
  type Tree,
  type TreeLedger,
  type Walk,
  type Writer,
} from '@stored/lmdb'
import { backendPrefix, owedKey, parseOwedKey, parsePlaceKey, placeKey } from './keys.ts'

/** A job as it is kept; where it lies says its state. */
export interface JobRow extends Omit<Job, keyof Place | 'state'> {
  /** What the driver of the last try gave to go on from. Not of a parked job: who retries it begins anew. */
  readonly checkpoint?: string
  /** Only of a running job. */
  readonly lease?: string
  readonly until?: number
  /** Only of a running job that crashed before: this try was begun. */
  readonly marked?: true
  /** Only of a running job: when it was claimed or marked, and when its lease was last renewed since, in milliseconds since the epoch. */
  readonly since?: number
  readonly renewed?: number
  readonly alone?: true
  readonly retrial?: true
  /** Only of a parked job that is to be tried again: how long after `due`, in milliseconds. No due time lies further ahead than an hour. */
  readonly rest?: number
}

type State = Job['state']

export interface FoundJob {
  readonly state: State
  readonly place: Place
  readonly row: JobRow
}

const STATES: readonly State[] = ['running', 'parked', 'waiting']
const NOTHING = Buffer.alloc(0)

/**
 * Where jobs lie in the trees of a ledger, and how they are found. Those that run or are parked have trees of their own; those that
 * wait lie among the keys, so that a put writes few pages.
 */
export class JobRows {
  readonly #ledger: TreeLedger
  readonly #waiting: Table<JobRow>

  constructor(ledger: TreeLedger) {
    this.#ledger = ledger
    this.#waiting = new Table(ledger, 'keys', 'W')
  }

  get(state: State, place: Place, reader: Reader = this.#ledger): JobRow | undefined {
    return reader.get(...this.#at(state, place), decodeRow<JobRow>)?.value
  }

  /** Also of a row that cannot be read. */
  has(state: State, place: Place, reader: Reader = this.#ledger): boolean {
    return reader.get(...this.#at(state, place), rowTicket) !== undefined
  }

  put(writer: Writer, state: State, place: Place, row: JobRow): void {
    writer.put(...this.#at(state, place), encodeRow(row, writer.ticket))
  }

  remove(writer: Writer, state: State, place: Place): void {
    writer.remove(...this.#at(state, place))
  }

  /** Those that run, those that are parked, then those that wait, of each backend in the order they were queued. */
  async *find({ backend, key, state, signal }: Omit<JobFilter, 'id'>): AsyncGenerator<FoundJob, void, void> {
    const states = state === undefined ? STATES : [state]
    if (key !== undefined) return yield* this.#atKey(key, states, backend)
    for await (const found of this.#walk(states, { ...rangeOf(backend), signal })) {
      // Whoever takes these one by one may take long over each.
      signal?.throwIfAborted()
      yield found
    }
  }

  counts(): Record<string, JobCounts> {
    // Without the names of Object, which a backend may have.
    const counts: Record<string, JobCounts> = Object.create(null)
    for (const [key, value] of scan(this.#ledger, 'counts', NOTHING, END)) {
      const backend = key.toString()
      const [waiting = 0, running = 0, parked = 0, bytes = 0] = decodeNumbers(value)
      const oldest = this.#oldest(backend)
      counts[backend] = { waiting, running, parked, bytes, ...(oldest !== undefined && { oldest }) }
    }
    return counts
  }

  #at(state: State, { backend, key }: Place): [Tree, Buffer] {
    if (state !== 'waiting') return [state, placeKey({ backend, key })]
    return [this.#waiting.tree, this.#waiting.key(Buffer.from(key), Buffer.from(backend))]
  }

  async *#walk(states: readonly State[], range: Walk): AsyncGenerator<FoundJob> {
    const ran = states.includes('running') ? new Set<string>() : null
    for (const state of states) {
      if (state === 'waiting') yield* this.#walkOwed(range, ran)
      else
        for await (const found of this.#walkTree(state, range)) {
          if (state === 'running') ran?.add(owedKey(found.place, found.row.seq).toString('latin1'))
          yield found
        }
    }
  }

  async *#walkTree(state: 'running' | 'parked', range: Walk): AsyncGenerator<FoundJob> {
    for await (const page of pages(this.#ledger, state, range))
      for (const [key, value] of page) yield { state, place: parsePlaceKey(key), row: decodeRow<JobRow>(value).value }
  }

  /**
   * Those that wait; not by the tree they lie in, where every key that is bound lies too.
   *
   * @param ran Those found running just before, by their rows in `owed`; `null`: such are not asked for. A job that was claimed since
   *   is found too, and one that waits again is not found twice.
   */
  async *#walkOwed(range: Walk, ran: ReadonlySet<string> | null): AsyncGenerator<FoundJob> {
    for await (const page of pages(this.#ledger, 'owed', range))
      for (const [key] of page) {
        if (ran?.has(key.toString('latin1'))) continue
        const { seq, ...place } = parseOwedKey(key)
        const waiting = this.get('waiting', place)
        const running = ran && waiting?.seq !== seq ? this.get('running', place) : undefined
        if (waiting?.seq === seq) yield { state: 'waiting', place, row: waiting }
        else if (running?.seq === seq) yield { state: 'running', place, row: running }
      }
  }

  /** Read at one moment. Every backend that ever had a job is counted. */
  #atKey(key: string, states: readonly State[], only: string | undefined): FoundJob[] {
    const counted = () => [...scan(this.#ledger, 'counts', NOTHING, END)].map(([name]) => name.toString())
    const places = (only === undefined ? counted() : [only]).map((backend) => ({ backend, key }))
    const find = (state: State, place: Place): FoundJob[] => {
      const row = this.get(state, place)
      return row ? [{ state, place, row }] : []
    }
    return states.flatMap((state) => places.flatMap((place) => find(state, place)))
  }

  #oldest(backend: string): number | undefined {
    const [first] = this.#ledger.range('owed', { ...rangeOf(backend), limit: 1 })
    return first && decodeNumbers(first[1])[0]
  }
}

function rangeOf(backend: string | undefined): { from: Buffer; to: Buffer } {
  if (backend === undefined) return { from: NOTHING, to: END }
  const prefix = backendPrefix(backend)
  return { from: prefix, to: after(prefix) }
}

/** As others see it: whose it is, and where its driver goes on, is told to nobody but who claimed it. */
export function jobOf({ state, place: { backend, key }, row }: FoundJob): Job {
  const { until: _, marked: __, lease: ___, checkpoint: ____, since: _____, renewed: ______, ...rest } = row
  const { alone: _______, retrial: ________, rest: _________, ...kept } = rest
  return { ...kept, backend, key, state }
}

export function claimedOf(place: Place, row: JobRow): Claimed {
  const { lease = '', checkpoint, alone, retrial } = row
  return {
    ...jobOf({ state: 'running', place, row }),
    lease,
    ...(checkpoint !== undefined && { checkpoint }),
    ...(alone && { alone }),
    ...(retrial && { retrial }),
  }
}
