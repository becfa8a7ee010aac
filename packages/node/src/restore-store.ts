import { copyFile, open, readdir, rm } from 'node:fs/promises'
import path from 'node:path'
import type { BlobId } from '@stored/core'
import { checkOptions, is, mapErrno, needed, type RulesOf, StorageError } from '@stored/core/backend'
import { fileMode, makeDirectory, setMode, statIfThere, syncDirectory } from '@stored/core/files'
import { BlobIndex } from '@stored/index'
import { type LmdbLedger, placeIndex } from '@stored/lmdb'
import { beginRecovery, endRecovery, RestoredStaging, stagedFiles } from '@stored/staging'
import { JobQueue } from '@stored/syncd'
import { requireRuntime, stagingOf } from './open-store.ts'
import { STORE_RULES, type StoreLocation, whereIs } from './store-location.ts'

const AT = { op: 'restore' }
/** Of places that one commit changes. */
const PAGE = 100

/** What restoreStore() takes. */
export interface RestoreOptions extends StoreLocation {
  /** What `backupStore` wrote. */
  from: string
  /** Ends it, and removes what was written. */
  signal?: AbortSignal
}

const OPTIONS: RulesOf<RestoreOptions> = { ...STORE_RULES, from: needed(is.path), signal: is.signal }

/** What became of a backup. */
export interface Restored {
  /** Staged files that came with it. */
  readonly files: number
  /** Blobs whose staged bytes did not come with it. */
  readonly lacking: number
  /** Those of them that no backend has whole: their copies are `missing`. The others are copied from where they are. */
  readonly missing: readonly BlobId[]
}

/**
 * Makes a store of a backup, in a directory that has none. The store has the staged bytes that the backup has. A copy that is owed, and
 * whose bytes are neither there nor on a backend, becomes `missing`, which `doctor` and `status` report, until the blob is put again.
 *
 * If it is killed, the directory is CORRUPT until it is called again.
 *
 * @throws {StorageError} NOT_FOUND: there is no backup · ALREADY_EXISTS: there is a store, or staged files of one · INCOMPATIBLE, CORRUPT:
 *   the backup cannot be used · NO_SPACE · ABORTED.
 */
export async function restoreStore(options: RestoreOptions): Promise<Restored> {
  requireRuntime()
  const { from, signal, ...where } = checkOptions(options, OPTIONS, AT)
  try {
    const { index, staging } = await partsOf(path.resolve(from))
    const { mode } = whereIs(where)
    const target = stagingOf(where)
    const files = staging === null ? [] : await stagedFiles(staging)
    const copied: string[] = []
    let found = { lacking: 0, missing: [] as BlobId[] }
    await placeIndex(whereIs(where), {
      from: index,
      prepare: async () => {
        await makeDirectory(target, AT, mode)
        const present = await requireNoOther(target, files)
        for (const file of files) {
          requireSignal(signal)
          const to = path.join(target, file)
          if (!present.has(file)) copied.push(to)
          await copyTo(path.join(staging as string, file), to, fileMode(mode))
        }
        await syncDirectory(target)
      },
      change: async (ledger) => {
        requireSignal(signal)
        const claimed = { ledger, path: target, mode }
        // Another store than the one that it is a copy of: neither takes the staged files of the other for debris.
        await beginRecovery(claimed)
        found = await giveUpLacking(ledger, await RestoredStaging.open(claimed))
        await endRecovery(claimed)
      },
      undo: async () => {
        for (const file of copied) await rm(file, { force: true })
      },
    })
    return { files: files.length, ...found }
  } catch (error) {
    throw mapErrno(error, AT)
  }
}

async function partsOf(from: string): Promise<{ index: string; staging: string | null }> {
  const found = await statIfThere(from)
  if (found === null) throw new StorageError('NOT_FOUND', AT, { detail: `there is no backup ${from}` })
  if (found.isFile()) return { index: from, staging: null }
  const index = path.join(from, 'index.mdb')
  if ((await statIfThere(index)) === null)
    throw new StorageError('NOT_FOUND', AT, { detail: `${from} is no backup: it has no index.mdb` })
  return { index, staging: path.join(from, 'staging') }
}

/** Staged files of a store whose index was lost may be all that is left of a blob. Those of a restore that was cut off are the same. */
async function requireNoOther(target: string, files: readonly string[]): Promise<ReadonlySet<string>> {
  const present = new Set(await readdir(target))
  const others = present.difference(new Set(files))
  if ([...others].every((name) => name.startsWith('.stored-id'))) return present
  const detail = `${target} holds files that are not of the backup: restore into a new directory, or see stored init --recover`
  throw new StorageError('ALREADY_EXISTS', AT, { detail })
}

async function copyTo(from: string, to: string, mode: number): Promise<void> {
  await copyFile(from, to)
  await setMode(to, mode)
  await using handle = await open(to, 'r+')
  await handle.sync()
}

async function giveUpLacking(
  ledger: LmdbLedger,
  staging: RestoredStaging,
): Promise<{ lacking: number; missing: BlobId[] }> {
  const index = new BlobIndex(ledger)
  const queue = new JobQueue(ledger)
  // The processes that held their leases are those of the store that was copied.
  await queue.recover()
  const lacking = await Array.fromAsync(staging.lacking())
  const missing: BlobId[] = []
  for (const id of lacking) {
    const { value: isElsewhere } = await ledger.transact((tx) => {
      staging.release(tx, id)
      return index.hasPlace(tx, { id, standing: 'synced' })
    })
    if (isElsewhere) continue
    missing.push(id)
    while (await giveUpPage(ledger, { index, queue, id })) {}
  }
  await staging.close()
  return { lacking: lacking.length, missing }
}

const ERROR = {
  code: 'NOT_FOUND',
  message: 'its staged bytes were not part of the backup: put the blob again',
} as const

/** @returns Whether there may be more. */
async function giveUpPage(
  ledger: LmdbLedger,
  { index, queue, id }: { readonly index: BlobIndex; readonly queue: JobQueue; readonly id: BlobId },
): Promise<boolean> {
  const { value } = await ledger.transact((tx) => {
    const owing = index.locations(tx, id, 'owing', { limit: PAGE })
    for (const { rev: _, ...location } of owing) {
      queue.drop(tx, location)
      index.locate(tx, { ...location, state: 'missing', error: ERROR })
    }
    return owing.length
  })
  return value === PAGE
}

function requireSignal(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new StorageError('ABORTED', AT, { cause: signal.reason })
}
