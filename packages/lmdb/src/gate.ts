import path from 'node:path'
import { setImmediate, setTimeout } from 'node:timers/promises'
import { Presence } from './presence.ts'

const POLL_MS = 1

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

  /** @param directory Of the file; the gate keeps two of its own there. */
  static async open(directory: string): Promise<Gate> {
    const opening = await Presence.open(path.join(directory, 'opening.mdb'))
    try {
      return new Gate(opening, await Presence.open(path.join(directory, 'committing.mdb')))
    } catch (error) {
      await opening.close()
      throw error
    }
  }

  private constructor(opening: Presence, committing: Presence) {
    this.#opening = opening
    this.#committing = committing
  }

  /** Calls `open` while nothing is committed. */
  async open<T>(open: () => T): Promise<T> {
    const leave = this.#opening.enter()
    try {
      // All processors see that it is there before this one looks.
      await setImmediate()
      await becomesEmpty(this.#committing)
      return open()
    } finally {
      leave()
    }
  }

  /**
   * Calls `write` once, while nobody opens the file.
   *
   * @param transact Runs a transaction that calls what it is given; settles when it is published or never will be.
   */
  async commit(transact: (write: () => void) => Promise<unknown>, write: () => void): Promise<void> {
    while (!(await this.#try(transact, write))) await becomesEmpty(this.#opening)
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
        isFree = this.#opening.isEmpty
        if (isFree) write()
      })
      return isFree
    } finally {
      leave()
    }
  }
}

async function becomesEmpty(presence: Presence): Promise<void> {
  while (!presence.isEmpty) await setTimeout(POLL_MS)
}
