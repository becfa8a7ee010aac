import type { Key, RootDatabase } from 'lmdb'
import { openRoot } from './open-root.ts'

/** A row of LMDB's table of readers, process and thread, that has a view open: it ends with the number of that view. */
const PRESENT = /^ *(\d+) \w+ \d+$/gm

/**
 * Who is at something right now, in all processes: LMDB's table of readers, of a file that stays empty. Processes share it as memory,
 * and who died is taken off it.
 *
 * @see lmdb.h, mdb_reader_list() and mdb_reader_check()
 */
export class Presence {
  readonly #root: RootDatabase<unknown, Key>

  /** @param mode Of the file, where it is made now. */
  static async open(file: string, mode = 0o600): Promise<Presence> {
    return new Presence(
      await openRoot({ file, mode }, { maxReaders: 512, overlappingSync: false, eventTurnBatching: false }),
    )
  }

  private constructor(root: RootDatabase<unknown, Key>) {
    this.#root = root
  }

  /** @returns What ends it. */
  enter(): () => void {
    const view = this.#root.useReadTransaction()
    return () => {
      view.done()
      // Else lmdb-js keeps the view for the rest of this turn of the event loop.
      this.#root.resetReadTxn()
    }
  }

  /** The numbers of the processes that are at it. */
  get pids(): readonly string[] {
    const pids = this.#list()
    return pids.length > 0 && this.#root.readerCheck() > 0 ? this.#list() : pids
  }

  close(): Promise<void> {
    return this.#root.close()
  }

  #list(): string[] {
    return Array.from(this.#root.readerList().matchAll(PRESENT), ([, pid = '']) => pid)
  }
}
