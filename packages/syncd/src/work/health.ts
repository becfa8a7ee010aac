import { setImmediate } from 'node:timers/promises'
import type { BackendState, Failure, View } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import { decodeRow, encodeRow, readerOf, type TreeLedger, writerOf } from '@stored/ledger'
import { leaderOf } from '../coordination/leadership.ts'

/** The least time between two rows of one backend, and the longest before a failed row is tried again. */
const PACE_MS = 1000
const MAX_PACE_MS = 60_000
/** In the tree `meta`. */
const SYNCED_KEY = Buffer.from('synced')

/** What is known about a failing backend. */
export interface Health {
  readonly state: Extract<BackendState['state'], 'failing' | 'unusable'>
  readonly error: Failure
  /** When it is tried again, in milliseconds since the epoch. */
  readonly retryAt?: number
  /** When it last failed, in milliseconds since the epoch. */
  readonly asOf: number
}

/** A row in the tree `meta`, under `health NUL backend`. A backend without one is healthy. */
interface HealthRow {
  readonly health: Health
  /** The leader that wrote it: rows of former leaders are history. */
  readonly leader: number | undefined
}

/** Which backends the leader syncs: those it is configured with. */
interface SyncedRow {
  readonly backends: readonly string[]
  readonly leader: number | undefined
}

/** What is recorded about a backend. */
interface Recorded {
  /** The last value written. */
  readonly health: Health | null
  /** Whether a former leader wrote it. */
  readonly isHistory: boolean
  /** Whether the current leader has announced which backends it syncs, and this is none of them. */
  readonly isLeft: boolean
}

export function readHealth(view: View, backend: string): Recorded {
  const reader = readerOf(view)
  const leader = leaderOf(view)
  const row = reader.get('meta', healthKey(backend), decodeRow<HealthRow>)?.value
  const synced = reader.get('meta', SYNCED_KEY, decodeRow<SyncedRow>)?.value
  return {
    health: row?.health ?? null,
    isHistory: row !== undefined && row.leader !== leader,
    isLeft: synced !== undefined && synced.leader === leader && !synced.backends.includes(backend),
  }
}

export interface HealthRecorderOptions {
  readonly ledger: TreeLedger
  /** A check that refuses the plans of a process that no longer leads. */
  readonly fence: () => (view: View) => void
  /** The current health of a backend; `null` if it is healthy. */
  readonly look: (backend: string) => Promise<Health | null>
  /** The backends that are currently synced. */
  readonly backends: () => readonly string[]
  /** Called when other processes can read which backends are synced. */
  readonly onTold: () => void
  readonly onError: (error: unknown) => void
}

/** The subject of a row: a backend, or `null` for the list of synced ones. */
type Subject = string | null

/**
 * Tells other processes which backends are synced and how they are doing, for as long as this one leads. Rows of one
 * backend are written one at a time, at most one a second, and none while it is healthy and has none. An idle store
 * sets no timer.
 */
export class HealthRecorder {
  readonly #options: HealthRecorderOptions
  /** Backends that have no row, or will have none in a moment. */
  readonly #well = new Set<string>()
  /** Subjects that have changed since their row was started. */
  readonly #changed = new Set<Subject>()
  /** Rows being written, and the pauses after them. */
  readonly #recording = new Map<Subject, Promise<void>>()
  /** Functions that end the pauses. */
  readonly #ends = new Map<Subject, () => void>()
  #isStopping = false

  constructor(options: HealthRecorderOptions) {
    this.#options = options
  }

  /** Call it when a job has shown a backend's health. Cheap while it is healthy and has no row. */
  note(backend: string, isWell: boolean): void {
    if (!isWell || !this.#well.has(backend)) this.#change(backend)
  }

  /** Call it when the set of synced backends changes. */
  noteSynced(): void {
    this.#change(null)
  }

  /** Records what is left, and resolves when nothing is being written. */
  async stop(): Promise<void> {
    this.#isStopping = true
    for (const end of this.#ends.values()) end()
    await Promise.all(this.#recording.values())
  }

  #change(subject: Subject): void {
    this.#changed.add(subject)
    if (!this.#recording.has(subject)) this.#recording.set(subject, this.#record(subject))
  }

  async #record(subject: Subject): Promise<void> {
    let waitMs = PACE_MS
    while (this.#changed.delete(subject)) {
      try {
        if (!(await (subject === null ? this.#writeSynced() : this.#writeHealth(subject)))) continue
        waitMs = PACE_MS
      } catch (error) {
        this.#well.delete(`${subject}`)
        // Another process leads now.
        if (StorageError.is(error) && error.code === 'CONFLICT') continue
        this.#options.onError(error)
        // No later job may report it again.
        if (!this.#isStopping) this.#changed.add(subject)
        waitMs = Math.min(2 * waitMs, MAX_PACE_MS)
      }
      if (!this.#isStopping) await this.#pause(subject, waitMs)
    }
    this.#recording.delete(subject)
  }

  #pause(subject: Subject, ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms).unref()
      this.#ends.set(subject, () => {
        clearTimeout(timer)
        resolve()
      })
    })
  }

  /** @returns Whether the next row must wait. */
  async #writeHealth(backend: string): Promise<boolean> {
    const fence = this.#options.fence()
    const health = await this.#options.look(backend)
    if (health) this.#well.delete(backend)
    else this.#well.add(backend)
    const { value } = await this.#options.ledger.transact((tx) => {
      fence(tx)
      const writer = writerOf(tx)
      if (health) writer.put('meta', healthKey(backend), encodeRow({ health, leader: leaderOf(tx) }, tx.ticket))
      else if (readHealth(tx, backend).health) writer.remove('meta', healthKey(backend))
      else return false
      return true
    })
    return value
  }

  /** Rare, and others wait for it: written at once. */
  async #writeSynced(): Promise<false> {
    const fence = this.#options.fence()
    // A store that opens adds one backend after the other.
    await setImmediate()
    const backends = this.#options.backends()
    await this.#options.ledger.transact((tx) => {
      fence(tx)
      writerOf(tx).put('meta', SYNCED_KEY, encodeRow({ backends, leader: leaderOf(tx) }, tx.ticket))
    })
    this.#options.onTold()
    return false
  }
}

function healthKey(backend: string): Buffer {
  return Buffer.from(`health\0${backend}`)
}
