import { randomUUID } from 'node:crypto'
import { open, readFile, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import { mapErrno, StorageError } from '@stored/core/backend'
import { type AccessMode, fileMode, makeDirectory, setMode, syncDirectory } from '@stored/core/files'
import { decodeRow, encodeRow, type Reader, type Row, readerOf, type TreeLedger, writerOf } from '@stored/ledger'
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
 * The row comes first, if it is still what was read, so that processes which open a new store at once agree on it. Staged files come
 * last: a process that sees one sees row and mark.
 *
 * @throws {StorageError} CORRUPT: the index was lost, or is that of another store. Nothing was changed.
 */
export async function claimStaging(claimed: Claimed): Promise<void> {
  const { path: directory, mode } = claimed
  await makeDirectory(directory, { op: 'open' }, mode ?? 0o700)
  while (!(await claim(claimed))) {
    // Another process wrote the row first: judge again, by what it wrote.
  }
}

/** @returns `false`: the row changed since it was read. */
async function claim({ ledger, path: directory, mode = 0o700 }: Claimed): Promise<boolean> {
  const { standing, count, row } = await survey({ ledger, path: directory })
  if (standing === 'own') return true
  if (standing !== 'unmarked') throw refusal(standing, count)
  const known = row?.value
  const uuid = known && known.phase !== 'recovering' ? known.uuid : randomUUID()
  const isNew = known?.uuid !== uuid
  if (isNew && !(await identify(ledger, row, { uuid, ...(count > 0 && { phase: 'marking' }) }))) return false
  await mark(directory, uuid, mode)
  const now = await ledger.look((view) => identityIn(readerOf(view)))
  return now?.value.phase === undefined || identify(ledger, now, { uuid })
}

/** What index and staged files say of each other, and how many files there are. Changes nothing. */
export async function standingOf(claimed: Claimed): Promise<{ standing: Standing; count: number }> {
  const { standing, count } = await survey(claimed)
  return { standing, count }
}

async function survey({ ledger, path: directory }: Claimed) {
  // First: a process that staged one of them had written row and mark by then.
  const files = await stagedFiles(directory)
  const marked = await readMark(directory)
  ledger.refresh()
  const isEmpty = ledger.seq === 0
  return ledger.look((view) => {
    const reader = readerOf(view)
    const row = identityIn(reader)
    return { standing: judge(reader, row?.value, { files, marked, isEmpty }), count: files.length, row }
  })
}

function judge(
  reader: Reader,
  identity: Identity | undefined,
  { files, marked, isEmpty }: { files: readonly string[]; marked: string | undefined; isEmpty: boolean },
): Standing {
  const isOwed = reader.range('bytes', { ...FILES, limit: 1 }).length > 0
  if (identity !== undefined && identity.phase === undefined && identity.uuid === marked) return 'own'
  // Nothing can be swept, and nothing read as another store's.
  if (files.length === 0 && (!isOwed || marked === undefined)) return 'unmarked'
  if (identity?.phase === 'recovering') return 'recovering'
  if (identity === undefined && isEmpty) return 'lost'
  if (marked !== undefined) return identity?.uuid === marked ? 'unmarked' : 'foreign'
  // Stores had no uuid once; and a mark may be damaged, or gone.
  const isUnmarked = identity === undefined || identity.phase === 'marking'
  return isUnmarked || files.some((file) => isKept(reader, file)) ? 'unmarked' : 'foreign'
}

/** Notes in a new index that not all staged files are in it yet: until `endRecovery` nobody else opens it. */
export async function beginRecovery({ ledger }: Claimed): Promise<void> {
  const identity: Identity = { uuid: randomUUID(), phase: 'recovering' }
  await ledger.transact((tx) => {
    const writer = writerOf(tx)
    if (identityIn(writer)?.value.phase !== 'recovering') writer.put('meta', KEY, encodeRow(identity, tx.ticket))
  })
}

/** Makes index and staged files one store. */
export async function endRecovery({ ledger, path: directory, mode = 0o700 }: Claimed): Promise<void> {
  const row = (await ledger.look((view) => identityIn(readerOf(view)))) as Row<Identity>
  const { uuid } = row.value
  await mark(directory, uuid, mode)
  if (await identify(ledger, row, { uuid })) return
  throw new StorageError('CONFLICT', { op: 'open' }, { detail: 'another process recovers the store' })
}

function identityIn(reader: Reader): Row<Identity> | undefined {
  return reader.get('meta', KEY, decodeRow<Identity>)
}

function isKept(reader: Reader, file: string): boolean {
  return reader.get('bytes', fileKey(file), () => true) ?? false
}

/** Writes the row. @returns `false`: it is not `before` any more. */
async function identify(ledger: TreeLedger, before: Row<Identity> | undefined, identity: Identity): Promise<boolean> {
  const { value } = await ledger.transact((tx) => {
    const writer = writerOf(tx)
    if (identityIn(writer)?.ticket !== before?.ticket) return false
    writer.put('meta', KEY, encodeRow(identity, tx.ticket))
    return true
  })
  return value
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
