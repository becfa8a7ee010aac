import { stat } from 'node:fs/promises'
import { setTimeout } from 'node:timers/promises'
import { StorageError } from '@stored/core/backend'
import { describeOwner } from './file-owner.ts'
import { type HeldLock, locksOf } from './lock-holders.ts'

const POLL_MS = 50
/** Two seconds. Somebody may be looking at the file with a tool of LMDB's. */
const POLLS = 40

/** The file beside a file of LMDB's that all who have it open share, and lock. */
export function lockFileOf(file: string): string {
  return `${file}-lock`
}

/** Knows who has a store open. */
interface Openers {
  /** @returns `null`: nobody knows. */
  pids(): Promise<ReadonlySet<number> | null>
}

/**
 * Waits until nobody but those who have the store open holds a lock on a file of LMDB's. LMDB itself waits for it in the middle of
 * a system call, takes locks that are destroyed for sound ones, or spins for ten seconds, where another program has one.
 *
 * @throws {StorageError} UNAVAILABLE, naming the file, its mode and the process.
 */
export async function awaitLocks(files: readonly string[], openers: Openers, polls = POLLS): Promise<void> {
  for (const file of files.map(lockFileOf)) {
    for (let poll = 0; ; poll++) {
      const stranger = await strangerAt(file, openers)
      if (!stranger) break
      if (poll === polls) throw await lockedBy(file, stranger.pid)
      await setTimeout(POLL_MS)
    }
  }
}

async function strangerAt(file: string, openers: Openers): Promise<HeldLock | undefined> {
  const held = await locksOf(file)
  const known = held.length > 0 ? await openers.pids() : null
  return held.find((lock) => isInTheWay(lock, known))
}

/** The error for a file of LMDB's one of whose locks cannot be had. */
export async function lockedError(file: string, cause: unknown): Promise<StorageError> {
  const [holder] = await locksOf(lockFileOf(file))
  return lockedBy(lockFileOf(file), holder?.pid, cause)
}

/**
 * LMDB locks two bytes: the first one, shared by all and by one alone as it sets the file up; and the one whose offset is a
 * process' pid, by that process.
 *
 * @see mdb_env_excl_lock() and mdb_reader_pid() in mdb.c of lmdb 3.5.6
 */
function isInTheWay({ pid, isExclusive, start, end }: HeldLock, known: ReadonlySet<number> | null): boolean {
  if (start <= process.pid && process.pid <= end) return true
  return start === 0 && (known ? !known.has(pid) : isExclusive)
}

async function lockedBy(file: string, pid: number | undefined, cause?: unknown): Promise<StorageError> {
  const holder = pid === undefined ? 'another process' : `process ${pid}`
  const mode = await stat(file).then(
    (found) => found.mode,
    () => 0,
  )
  const mend = mode & 0o077 ? '; others may open it, and so lock it: stored doctor --fix' : ''
  const detail = `${await describeOwner(file)} is locked by ${holder}, which is not StoreD or is an older version of it${mend}`
  return new StorageError('UNAVAILABLE', { op: 'open' }, { detail, ...(cause !== undefined && { cause }) })
}
