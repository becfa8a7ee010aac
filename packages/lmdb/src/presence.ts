import type { Key, RootDatabase, RootDatabaseOptions } from 'lmdb'
import { openRoot, type RootFile } from './open-root.ts'
import { remakeIfDamaged } from './remake.ts'

/** A row of LMDB's table of readers, process and thread, that has a view open: it ends with the number of that view. */
const PRESENT = /^ *(\d+) \w+ \d+$/gm

const OPTIONS: RootDatabaseOptions = { maxReaders: 512, overlappingSync: false, eventTurnBatching: false }

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
    const open = (root: RootFile) => openRoot<unknown, Key>(root, OPTIONS)
    // Nothing is ever written to it: one that is damaged is as good as new once its first pages are.
    await remakeIfDamaged({ file, mode }, async (fresh) => (await open(fresh)).close())
    return new Presence(await open({ file, mode }))
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
