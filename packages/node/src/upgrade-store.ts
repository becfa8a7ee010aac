import { rm, stat } from 'node:fs/promises'
import path from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { checkOptions, is, mapErrno, type RulesOf, StorageError } from '@stored/core/backend'
import type { AccessMode } from '@stored/core/files'
import { BlobIndex, rewriterOf as rewriteIndex } from '@stored/index'
import type { Tree } from '@stored/ledger'
import { type FormerRow, type Rewrite, type Rewriter, rewriteLog, unreadable } from '@stored/ledger/format-2'
import { ExclusiveIndex, FORMAT, FORMER_FORMAT, FORMER_INDEX_FILE, type LmdbLedger, requireFormat } from '@stored/lmdb'
import { UpgradedStaging } from '@stored/staging'
import { bootId, JobQueue, rewriterOf as rewriteJobs } from '@stored/syncd'
import { requireRuntime, stagingOf } from './open-store.ts'
import { STORE_RULES, type StoreLocation, whereIs } from './store-location.ts'

const AT = { op: 'upgrade' }
/** In this order: what a row is written by is there before it. */
const ORDER: readonly Tree[] = ['meta', 'blobs', 'bytes', 'keys', 'running', 'parked', 'events']
/** Their rows follow from those of the others, and are not read. */
const FOLLOWING: readonly Tree[] = ['due', 'owed', 'counts']
/** Of one commit: what everybody else in the process waits for. */
const PAGE_ROWS = 250
const PAGE_BYTES = 1024 * 1024
const FIRST = Buffer.alloc(0)
/** Behind all keys that a row may have. */
const LAST = Buffer.alloc(1978, 0xff)

/** How far an upgrade is. */
export interface UpgradeProgress {
  /** Rows of the former index that were read, and all that there are. */
  readonly rows: number
  readonly total: number
}

/** What upgradeStore() takes. */
export interface UpgradeOptions extends StoreLocation {
  /** Only say what would be done. @default false */
  dryRun?: boolean
  /** Ends it. The store is then as it was. */
  signal?: AbortSignal
  /** Called after each page of rows. */
  onProgress?: (progress: UpgradeProgress) => void
}

const OPTIONS: RulesOf<UpgradeOptions> = {
  ...STORE_RULES,
  dryRun: is.boolean,
  signal: is.signal,
  onProgress: is.callback,
}

/** What an upgrade did, or would do. */
export interface Upgraded {
  /** The format of the index before, and now. Equal: there was nothing to do. */
  readonly from: number
  readonly to: number
  /** Of the former index. */
  readonly rows: number
  /** Of the former index, in bytes; as many have to be free on its disk. */
  readonly size: number
  /** The former index; `null` where nothing was done. `pruneUpgrade` removes it. */
  readonly kept: string | null
}

/**
 * Makes a store of the former format one of this format. It writes a new index beside the present one and then puts it in its place by one
 * rename: whoever ends it, even by a power cut, leaves the store as it was, or upgraded. The former index stays as `index.v2.bak`.
 *
 * Nobody may have the store open, and nobody can open it meanwhile.
 *
 * @throws {StorageError} NOT_FOUND: there is no store · CONFLICT: a process has it open · NO_SPACE: there is no room for a second index ·
 *   INCOMPATIBLE: it has another format still · CORRUPT: a row cannot be read · ALREADY_EXISTS: there is an `index.v2.bak` of another
 *   upgrade · ABORTED.
 */
export async function upgradeStore(options: UpgradeOptions): Promise<Upgraded> {
  requireRuntime()
  const checked = checkOptions(options, OPTIONS, AT)
  const { dryRun, signal } = checked
  const where = whereIs(checked)
  requireSignal(signal)
  const index = await ExclusiveIndex.open(where)
  try {
    const { format: from, size } = index
    const rows = ORDER.reduce((sum, tree) => sum + (index.trees.includes(tree) ? index.count(tree) : 0), 0)
    if (from === FORMAT) return { from, to: FORMAT, rows, size, kept: null }
    if (from !== FORMER_FORMAT) requireFormat(from)
    const kept = path.join(where.path, FORMER_INDEX_FILE)
    if (dryRun) await index.requireReplaceable({ keepAs: FORMER_INDEX_FILE })
    else
      await index.replace((ledger) => rewrite(index, ledger, { ...checked, mode: where.mode, total: rows }), {
        keepAs: FORMER_INDEX_FILE,
      })
    return { from, to: FORMAT, rows, size, kept }
  } finally {
    await index.close()
  }
}

/**
 * Removes the index that an upgrade kept.
 *
 * @returns Its path; `null`: none was kept.
 * @throws {StorageError} INCOMPATIBLE: the store is not upgraded · whatever keeps it from being opened.
 */
export async function pruneUpgrade(options: Omit<UpgradeOptions, 'signal' | 'onProgress'>): Promise<string | null> {
  const { from } = await upgradeStore({ ...options, dryRun: true })
  requireFormat(from)
  const file = path.join(path.resolve(options.path), FORMER_INDEX_FILE)
  try {
    await (options.dryRun ? stat(file) : rm(file))
    return file
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw mapErrno(error, AT)
  }
}

interface Work {
  readonly path: string
  readonly mode: AccessMode
  readonly total: number
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: UpgradeProgress) => void
}

async function rewrite(former: ExclusiveIndex, ledger: LmdbLedger, work: Work): Promise<void> {
  const { total, signal, onProgress } = work
  const isUnknown = (tree: string) => !ORDER.includes(tree) && !FOLLOWING.includes(tree) && former.count(tree) > 0
  const unknown = former.trees.find(isUnknown)
  if (unknown !== undefined) throw unreadable(unknown, FIRST)
  const staging = await UpgradedStaging.open({ ledger, path: stagingOf(work), mode: work.mode })
  const rewriters = [rewriteLog, rewriteIndex(new BlobIndex(ledger)), rewriteJobs(ledger), staging.rewrite]
  let rows = 0
  for (const tree of ORDER.filter((name) => former.trees.includes(name)))
    for await (const page of pagesOf(former, tree)) {
      for (const part of parts(page.map((row) => rewriteOf(row, former, rewriters))))
        await ledger.transact((tx) => {
          for (const write of part) write(tx)
        })
      rows += page.length
      onProgress?.({ rows, total })
      requireSignal(signal)
    }
  // The processes that held their leases are gone.
  const boot = bootId()
  await new JobQueue(ledger).recover(undefined, { ...(boot !== undefined && { boot }) })
  await staging.close()
}

/** In between everybody else in the process has a turn. */
async function* pagesOf(former: ExclusiveIndex, tree: Tree): AsyncGenerator<FormerRow[], void, void> {
  for (let from: Buffer = FIRST; ; await setImmediate()) {
    const page = former.range(tree, { from, to: LAST, limit: PAGE_ROWS })
    yield page.map(([key, value]) => ({ tree, key, value }))
    const last = page.at(-1)
    if (page.length < PAGE_ROWS || !last) return
    from = Buffer.concat([last[0], Buffer.of(0)])
  }
}

/** @throws {StorageError} CORRUPT: nobody knows the row, or it is damaged. */
function rewriteOf(row: FormerRow, former: ExclusiveIndex, rewriters: readonly Rewriter[]): Rewrite {
  for (const rewriter of rewriters) {
    const found = rewriter(row, former)
    if (found) return found
  }
  throw unreadable(row.tree, row.key)
}

/** What is written in one commit each. */
function* parts(rewrites: readonly Rewrite[]): Generator<Rewrite[]> {
  let part: Rewrite[] = []
  let bytes = 0
  for (const one of rewrites) {
    part.push(one)
    bytes += one.bytes ?? 0
    if (bytes < PAGE_BYTES) continue
    yield part
    part = []
    bytes = 0
  }
  if (part.length > 0) yield part
}

function requireSignal(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new StorageError('ABORTED', AT, { cause: signal.reason })
}
