import type { BackendState, Failure, View } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import { decodeRow, encodeRow, readerOf, type TreeLedger, writerOf } from '@stored/ledger'
import { leaderOf } from '../coordination/leadership.ts'

/** The least time between two rows of one backend. */
const PACE_MS = 1000

/** What is known of a backend that fails. */
export interface Health {
  readonly state: Extract<BackendState['state'], 'failing' | 'unusable'>
  readonly error: Failure
  /** When it is tried again, in milliseconds since the epoch. */
  readonly retryAt?: number
  /** When it last failed, in milliseconds since the epoch. */
  readonly asOf: number
}

/** A row in the tree `meta`, under `health NUL backend`. A backend without one is well. */
interface Row {
  readonly health: Health
  /** The leader that wrote it: what a former one wrote is history. */
  readonly leader: number | undefined
}

/** What was written last of a backend, and whether a former leader wrote it. */
export function readHealth(view: View, backend: string): { health: Health | null; isHistory: boolean } {
  const row = readerOf(view).get('meta', rowKey(backend), decodeRow<Row>)?.value
  return { health: row?.health ?? null, isHistory: row !== undefined && row.leader !== leaderOf(view) }
}

export interface HealthRecorderOptions {
  readonly ledger: TreeLedger
  /** A check that refuses the plans of a process that does not lead any more. */
  readonly fence: () => (view: View) => void
  /** How a backend fares now; `null`: it is well. */
  readonly look: (backend: string) => Promise<Health | null>
  readonly onError: (error: unknown) => void
}

/** Tells other processes how backends fare, for as long as this one leads: a row when that changes, at most one a second. */
export class HealthRecorder {
  readonly #options: HealthRecorderOptions
  /** Backends that have no row, or will have none in a moment. */
  readonly #well = new Set<string>()
  /** Of backends that fail, for a second after each row: an idle store sets no timer. */
  readonly #timers = new Map<string, NodeJS.Timeout>()
  /** Backends of which something was shown while their timer ran. */
  readonly #changed = new Set<string>()
  #writing: Promise<unknown> = Promise.resolve()

  constructor(options: HealthRecorderOptions) {
    this.#options = options
  }

  /** To be called when a job has shown how a backend fares. Cheap while it is well and has no row. */
  note(backend: string, isWell: boolean): void {
    if (isWell && this.#well.has(backend)) return
    if (this.#timers.has(backend)) this.#changed.add(backend)
    else if (isWell) this.#write(backend)
    else this.#pace(backend)
  }

  /** Records what is left, and resolves when nothing is written any more. */
  async stop(): Promise<void> {
    for (const timer of this.#timers.values()) clearTimeout(timer)
    for (const backend of this.#changed) this.#write(backend)
    await this.#writing
  }

  #pace(backend: string): void {
    const timer = setTimeout(() => {
      this.#timers.delete(backend)
      if (this.#changed.delete(backend)) this.#pace(backend)
    }, PACE_MS)
    this.#timers.set(backend, timer.unref())
    this.#write(backend)
  }

  #write(backend: string): void {
    this.#well.add(backend)
    const writing = this.#commit(backend).catch((error) => {
      this.#well.delete(backend)
      // Somebody else leads by now.
      if (!StorageError.is(error) || error.code !== 'CONFLICT') this.#options.onError(error)
    })
    this.#writing = Promise.all([this.#writing, writing])
  }

  async #commit(backend: string): Promise<void> {
    const { ledger, look } = this.#options
    const fence = this.#options.fence()
    const health = await look(backend)
    await ledger.transact((tx) => {
      fence(tx)
      const writer = writerOf(tx)
      if (health) writer.put('meta', rowKey(backend), encodeRow({ health, leader: leaderOf(tx) }, tx.ticket))
      else if (readHealth(tx, backend).health) writer.remove('meta', rowKey(backend))
    })
    if (health) this.#well.delete(backend)
  }
}

function rowKey(backend: string): Buffer {
  return Buffer.from(`health\0${backend}`)
}
