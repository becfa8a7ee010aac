import type { Claimed, Failure, Job, Place } from '@stored/core'
import type { StorageError } from '@stored/core/backend'
import {
  decodeRow,
  encodeRow,
  type Reader,
  rowTicket,
  Table,
  type Tree,
  type TreeLedger,
  type Writer,
} from '@stored/ledger'
import { placeKey } from './keys.ts'

/** A job as it is kept; where it lies says its state. */
export interface JobRow extends Omit<Job, keyof Place | 'state'> {
  /** In its keys of `due` and `owed`. @see keys.ts */
  readonly seq: number
  /** What the driver of the last try gave to go on from. Not of a parked job: its next try starts over. */
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

export type State = Job['state']

/** A job, and where it lies. */
export interface FoundJob {
  readonly state: State
  readonly place: Place
  readonly row: JobRow
}

/**
 * Where jobs lie in the trees of a ledger. Those that run or are parked have trees of their own; those that wait lie among the keys,
 * so that a put writes few pages.
 */
export class JobRows {
  readonly #waiting: Table<JobRow>

  constructor(ledger: TreeLedger) {
    this.#waiting = new Table(ledger, 'keys', 'W')
  }

  get(reader: Reader, state: State, place: Place): JobRow | undefined {
    return reader.get(...this.#at(state, place), decodeRow<JobRow>)?.value
  }

  /** Also of a row that cannot be read. */
  has(reader: Reader, state: State, place: Place): boolean {
    return reader.get(...this.#at(state, place), rowTicket) !== undefined
  }

  put(writer: Writer, state: State, place: Place, row: JobRow): void {
    writer.put(...this.#at(state, place), encodeRow(row, writer.ticket))
  }

  remove(writer: Writer, state: State, place: Place): void {
    writer.remove(...this.#at(state, place))
  }

  #at(state: State, { backend, key }: Place): [Tree, Buffer] {
    if (state !== 'waiting') return [state, placeKey({ backend, key })]
    return [this.#waiting.tree, this.#waiting.key(Buffer.from(key), Buffer.from(backend))]
  }
}

/** As others see it: the lease and the checkpoint are shown only to the worker that claimed it. */
export function jobOf({ state, place: { backend, key }, row }: FoundJob): Job {
  const { op, id, size, attempts, crashes, begun, seq, created, due, error } = row
  const noted = { ...(crashes !== undefined && { crashes }), ...(begun && { begun }), ...(error && { error }) }
  return { backend, key, state, op, id, size, attempts, seq, created, due, ...noted }
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

/** What a row keeps of an error. */
export function failureOf({ code, message }: StorageError): Failure {
  return { code, message }
}
