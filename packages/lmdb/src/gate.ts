import path from 'node:path'
import { setImmediate, setTimeout } from 'node:timers/promises'
import { StorageError } from '@stored/core/backend'
import { Presence } from './presence.ts'

/** In the directory of the file that the gate is of. */
export const GATE_FILES = ['opening.mdb', 'committing.mdb'] as const

const POLL_MS = 1
/** Half a minute at least. Of a pause of ours (a debugger, a laptop asleep) one counts. */
const POLLS = 30_000

/** Keeps commits and the opening of a file apart. */
export type Turns = Pick<Gate, 'open' | 'commit' | 'isAwaited' | 'close'>

/** For a file that nobody else knows. */
export const UNSHARED: Turns = {
  open: (open) => open(),
  commit: async (transact, write) => void (await transact(write)),
  isAwaited: false,
  close: async () => {},
}

/**
 * Keeps commits and the opening of their file apart, in all processes, which LMDB does not: whoever opens the file tells all others
 * which commit is the newest, by what it read a moment ago. One that was published in between is hidden from readers, and
 * overwritten by the next one.
 *
 * Each side first says that it is there, then looks for the other. A commit gives way.
 *
 * @see mdb_env_open2() in mdb.c of lmdb 3.5.6; OpenLDAP mended its own as ITS#9496
 */
export class Gate {
  readonly #opening: Presence
  readonly #committing: Presence
  readonly #polls: number

  /**
   * @param directory Of the file; the gate keeps two of its own there.
   * @param o.mode Of those, where they are made now.
   * @param o.polls How often it looks, a millisecond apart, whether who is in the way has left.
   */
  static async open(directory: string, { mode = 0o600, polls = POLLS } = {}): Promise<Gate> {
    const [first, second] = GATE_FILES.map((name) => path.join(directory, name)) as [string, string]
    const opening = await Presence.open(first, mode)
    try {
      return new Gate(opening, await Presence.open(second, mode), polls)
    } catch (error) {
      await opening.close()
      throw error
    }
  }

  private constructor(opening: Presence, committing: Presence, polls: number) {
    this.#opening = opening
    this.#committing = committing
    this.#polls = polls
  }

  /**
   * Calls `open` while nothing is committed.
   *
   * @throws {StorageError} UNAVAILABLE: a process is stopped in the middle of a commit.
   */
  async open<T>(open: () => Promise<T>): Promise<T> {
    const leave = this.#opening.enter()
    try {
      // All processors see that it is there before this one looks.
      await setImmediate()
      await this.#wait('open')
      return await open()
    } finally {
      leave()
    }
  }

  /**
   * Calls `write` once, while nobody opens the file.
   *
   * @param transact Runs a transaction that calls what it is given; settles when it is published or never will be.
   * @throws {StorageError} UNAVAILABLE: a process is stopped as it opens the file.
   */
  async commit(transact: (write: () => void) => Promise<unknown>, write: () => void): Promise<void> {
    while (!(await this.#try(transact, write))) await this.#wait('commit')
  }

  /**
   * Keeps everybody from opening the file, as a commit that does not end would.
   *
   * @returns What lets them in again.
   * @throws {StorageError} UNAVAILABLE: a process is stopped as it opens the file.
   */
  async hold(): Promise<() => void> {
    for (;;) {
      const leave = this.#committing.enter()
      // All processors see that it is there before this one looks.
      await setImmediate()
      if (this.#opening.pids.length === 0) return leave
      leave()
      await this.#wait('commit')
    }
  }

  /** Whether another process commits, or waits for its turn to. */
  get isAwaited(): boolean {
    return this.#committing.pids.length > 0
  }

  async close(): Promise<void> {
    await this.#opening.close()
    await this.#committing.close()
  }

  /** @returns `false` when the transaction gave way, and is empty. */
  async #try(transact: (write: () => void) => Promise<unknown>, write: () => void): Promise<boolean> {
    const leave = this.#committing.enter()
    let isFree = false
    try {
      await transact(() => {
        isFree = this.#opening.pids.length === 0
        if (isFree) write()
      })
      return isFree
    } finally {
      leave()
    }
  }

  async #wait(op: 'open' | 'commit'): Promise<void> {
    const [others, done] = op === 'open' ? [this.#committing, 'committed to'] : [this.#opening, 'opened']
    for (let polls = 0; ; polls++) {
      const [pid] = others.pids
      if (pid === undefined) return
      if (polls === this.#polls) {
        const detail = `the index has been ${done} by process ${pid} for half a minute; it may be stopped, or rewrite the index`
        throw new StorageError('UNAVAILABLE', { op }, { detail })
      }
      await setTimeout(POLL_MS)
    }
  }
}
