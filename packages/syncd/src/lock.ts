import { readFileSync } from 'node:fs'
import { StorageError } from '@stored/core/backend'
import { decodeRow, encodeRow, guard, rowSeq, type TreeLedger, write } from '@stored/lmdb'

const KEY = Buffer.from('syncer')

interface Holder {
  readonly pid: number
  /** When the process started, where the system tells: a recycled pid is another process. */
  readonly started: string | null
}

/** The right to sync a store, held by one living process of this machine. */
export class SyncLock {
  readonly #ledger: TreeLedger
  readonly #seq: number

  /** @returns `null` when another living process holds it. */
  static async acquire(ledger: TreeLedger): Promise<SyncLock | null> {
    const row = ledger.get('meta', KEY, decodeRow<Holder>)
    if (row && isAlive(row.value)) return null
    const me: Holder = { pid: process.pid, started: startOf(process.pid) }
    try {
      const { seq } = await ledger.transact((tx) => {
        guard(tx, (reader) => reader.get('meta', KEY, rowSeq) === row?.seq)
        write(tx, (writer) => writer.put('meta', KEY, encodeRow(me, writer.seq)))
      })
      return new SyncLock(ledger, seq)
    } catch (error) {
      if (StorageError.is(error) && error.code === 'CONFLICT') return null
      throw error
    }
  }

  private constructor(ledger: TreeLedger, seq: number) {
    this.#ledger = ledger
    this.#seq = seq
  }

  async release(): Promise<void> {
    await this.#ledger.transact((tx) => {
      guard(tx, (reader) => reader.get('meta', KEY, rowSeq) === this.#seq)
      write(tx, (writer) => writer.remove('meta', KEY))
    })
  }
}

/** An environment is open once in a process, so a row with our own pid is of a process before us. */
function isAlive({ pid, started }: Holder): boolean {
  if (pid === process.pid) return false
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
  }
  return startOf(pid) === started
}

/** Clock ticks after boot. @see proc(5), /proc/pid/stat, field 22 */
function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null
  } catch {
    // No procfs, or the process just ended; then `kill` has the say.
    return null
  }
}
