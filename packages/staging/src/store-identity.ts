import { randomUUID } from 'node:crypto'
import { open, readFile, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import { retryOnConflict } from '@stored/core'
import { mapErrno, StorageError } from '@stored/core/backend'
import {
  type AccessMode,
  decodeRow,
  encodeRow,
  fileMode,
  guard,
  makeDirectory,
  rowTicket,
  setMode,
  syncDirectory,
  type TreeLedger,
  write,
} from '@stored/lmdb'
import { newName, stagedFiles } from './owner.ts'
import { fileKey } from './staging.ts'

/** Beside the staged files. It holds the uuid of the store, and a line feed. */
const MARK = '.stored-id'
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\n$/
/** In the tree `meta`. */
const KEY = Buffer.from('store')
/** The first and the last row of `bytes` that names a staged file. */
const FILES = { from: fileKey(''), to: Buffer.from('G') } as const

/** What the index says of itself. */
interface Identity {
  readonly uuid: string
  /** `marking`: the staged files may not carry the uuid yet · `recovering`: not all of them are in the index yet. */
  readonly phase?: 'marking' | 'recovering'
}

/**
 * What index and staged files say of each other:
 *
 * - `own`: they are of one store
 * - `unmarked`: nothing says otherwise, and one of them has no uuid yet
 * - `lost`: the index is new, and there are staged files
 * - `foreign`: they are of two stores
 * - `recovering`: a recovery was cut off
 */
export type Standing = 'own' | 'unmarked' | 'lost' | 'foreign' | 'recovering'

/** An index, and the directory of the files that are staged for it. */
export interface Claimed {
  readonly ledger: TreeLedger
  /** Of the staged files. */
  readonly path: string
  /** Who may use the store. @default 0o700 */
  readonly mode?: AccessMode
}

/**
 * Makes sure that the files in a directory were staged for this ledger, before anybody sweeps those that it does not know.
 * Both carry one uuid; a store that has none yet gets one.
 *
 * The row comes first, under a guard, so that processes which open a new store at once agree on it. Staged files come last: whoever
 * sees one sees row and mark.
 *
 * @throws {StorageError} CORRUPT: the index was lost, or is that of another store. Nothing was changed.
 */
export async function claimStaging({ ledger, path: directory, mode = 0o700 }: Claimed): Promise<void> {
  await makeDirectory(directory, { op: 'open' }, mode)
  await retryOnConflict(async () => {
    const { standing, count } = await standingOf({ ledger, path: directory })
    if (standing === 'own') return
    if (standing !== 'unmarked') throw refusal(standing, count)
    const known = identityOf(ledger)
    const uuid = known && known.phase !== 'recovering' ? known.uuid : randomUUID()
    if (known?.uuid !== uuid) await identify(ledger, { uuid, ...(count > 0 && { phase: 'marking' }) })
    await mark(directory, uuid, mode)
    if (identityOf(ledger)?.phase !== undefined) await identify(ledger, { uuid })
  })
}

/** What index and staged files say of each other, and how many files there are. Changes nothing. */
export async function standingOf({ ledger, path: directory }: Claimed): Promise<{ standing: Standing; count: number }> {
  // First: whoever staged one of them had written row and mark by then.
  const files = await stagedFiles(directory)
  const marked = await readMark(directory)
  ledger.refresh()
  return { standing: judge(ledger, files, marked), count: files.length }
}

function judge(ledger: TreeLedger, files: readonly string[], marked: string | undefined): Standing {
  const identity = identityOf(ledger)
  const isOwed = ledger.range('bytes', { ...FILES, limit: 1 }).length > 0
  if (identity !== undefined && identity.phase === undefined && identity.uuid === marked) return 'own'
  // Nothing can be swept, and nothing read as another store's.
  if (files.length === 0 && (!isOwed || marked === undefined)) return 'unmarked'
  if (identity?.phase === 'recovering') return 'recovering'
  if (identity === undefined && ledger.seq === 0) return 'lost'
  if (marked !== undefined) return identity?.uuid === marked ? 'unmarked' : 'foreign'
  // Stores had no uuid once; and a mark may be damaged, or gone.
  const isNew = identity === undefined || identity.phase === 'marking'
  return isNew || files.some((file) => isKept(ledger, file)) ? 'unmarked' : 'foreign'
}

/** Notes in a new index that not all staged files are in it yet: until `endRecovery` nobody else opens it. */
export async function beginRecovery({ ledger }: Claimed): Promise<void> {
  if (identityOf(ledger)?.phase !== 'recovering') await identify(ledger, { uuid: randomUUID(), phase: 'recovering' })
}

/** Makes index and staged files one store. */
export async function endRecovery({ ledger, path: directory, mode = 0o700 }: Claimed): Promise<void> {
  const { uuid } = identityOf(ledger) as Identity
  await mark(directory, uuid, mode)
  await identify(ledger, { uuid })
}

function identityOf(ledger: TreeLedger): Identity | undefined {
  return ledger.get('meta', KEY, (row) => decodeRow<Identity>(row).value)
}

function isKept(ledger: TreeLedger, file: string): boolean {
  return ledger.get('bytes', fileKey(file), () => true) ?? false
}

async function identify(ledger: TreeLedger, identity: Identity): Promise<void> {
  const before = ledger.get('meta', KEY, rowTicket)
  await ledger.transact((tx) => {
    guard(tx, (reader) => reader.get('meta', KEY, rowTicket) === before)
    write(tx, (writer) => writer.put('meta', KEY, encodeRow(identity, writer.ticket)))
  })
}

/** A damaged mark is none. */
async function readMark(directory: string): Promise<string | undefined> {
  const text = await readFile(path.join(directory, MARK), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return ''
    throw mapErrno(error, { op: 'open' })
  })
  return UUID.test(text) ? text.trim() : undefined
}

/** Several processes may do it at once: they write the same. */
async function mark(directory: string, uuid: string, mode: AccessMode): Promise<void> {
  // No name of a staged file: another process would take it for one.
  const aside = path.join(directory, `${MARK}-${newName()}`)
  try {
    const handle = await open(aside, 'wx', 0o600)
    try {
      await setMode(aside, fileMode(mode))
      await handle.writeFile(`${uuid}\n`)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(aside, path.join(directory, MARK))
    await syncDirectory(directory)
  } catch (error) {
    await rm(aside, { force: true })
    throw mapErrno(error, { op: 'open' })
  }
}

function refusal(standing: Standing, count: number): StorageError {
  const files = count === 1 ? '1 staged file' : `${count} staged files`
  const why: Partial<Record<Standing, string>> = {
    lost: `index.mdb is new, and there are ${files} that it does not know`,
    foreign: 'index.mdb and the directory of staged files are of two stores',
    recovering: `a recovery of ${files} was cut off`,
  }
  const what =
    standing === 'recovering'
      ? 'run `stored init --recover` again'
      : 'put back the index.mdb that belongs to them, or make a store of them with `stored init --recover`'
  return new StorageError('CORRUPT', { op: 'open' }, { detail: `${why[standing]}; ${what}` })
}
