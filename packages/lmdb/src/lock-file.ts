import { constants, open, stat } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { StorageError } from '@stored/core/backend'
import { describeOwner } from '@stored/core/files'
import { type HeldLock, locksOf } from './lock-holders.ts'

const POLL_MS = 50
/** Two seconds. Somebody may be looking at the file with a tool of LMDB's. */
const POLLS = 40
/** How often a damaged file is seen to have no locks before it is believed to have none. */
const LOOKS = 5
/** Begins a lock file. @see struct MDB_txbody in mdb.c of lmdb 3.5.6: `mtb_magic` and, of `mtb_format`, the version */
const BEGINNING = { magic: 0xbeefc0de, version: 2 } as const
/** Less holds no table of readers. */
const LEAST_BYTES = 4096

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
 * @throws {StorageError} UNAVAILABLE, naming the file, its mode and the process · CORRUPT: those who have the store open share a lock
 *   file that is damaged. Where nobody has it open, LMDB makes it anew.
 */
export async function awaitLocks(files: readonly string[], openers: Openers, polls = POLLS): Promise<void> {
  for (const file of files.map(lockFileOf)) {
    for (let poll = 0; ; poll++) {
      const held = await locksOf(file)
      const stranger = await strangerAmong(held, openers)
      if (!stranger && ((await isSound(file)) || (held.length === 0 && (await isFree(openers, poll))))) break
      if (poll === polls) throw stranger ? await lockedBy(file, stranger.pid) : damaged(file, held)
      await setTimeout(POLL_MS)
    }
  }
}

async function strangerAmong(held: readonly HeldLock[], openers: Openers): Promise<HeldLock | undefined> {
  const known = held.length > 0 ? await openers.pids() : null
  return held.find((lock) => isInTheWay(lock, known))
}

/** The system's list of locks may lack one that is held, as others come and go: where somebody has the store open it is read again. */
async function isFree(openers: Openers, poll: number): Promise<boolean> {
  const pids = await openers.pids()
  return poll >= LOOKS || pids === null || [...pids].every((pid) => pid === process.pid)
}

/** Also where it cannot be read: that is found out by who opens it. */
async function isSound(file: string): Promise<boolean> {
  try {
    // Without waiting: a pipe in its place has no other end.
    await using handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK)
    const bytes = Buffer.alloc(8)
    await handle.read(bytes, 0, bytes.length, 0)
    const isOurs = bytes.readUInt32LE(0) === BEGINNING.magic && (bytes.readUInt32LE(4) & 0xfff) === BEGINNING.version
    return isOurs && (await handle.stat()).size >= LEAST_BYTES
  } catch {
    return true
  }
}

function damaged(file: string, held: readonly HeldLock[]): StorageError {
  const pids = [...new Set(held.map(({ pid }) => pid))].join(', ')
  const detail = `it is damaged, and process ${pids} has the store open through it: end that process, then open the store again`
  return new StorageError('CORRUPT', { op: 'open', key: path.basename(file) }, { detail })
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
