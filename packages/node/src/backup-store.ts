import { copyFile, mkdir, open, rename, rm, stat, statfs } from 'node:fs/promises'
import path from 'node:path'
import { checkOptions, is, mapErrno, needed, type RulesOf, StorageError } from '@stored/core/backend'
import { setMode, statIfThere, syncDirectory } from '@stored/core/files'
import { readIndex } from '@stored/lmdb'
import { lookingAt, type StagedFile, stagedFilesOf } from '@stored/staging'
import { openLedger, requireRuntime, stagingOf } from './open-store.ts'
import { STORE_RULES, type StoreLocation } from './store-location.ts'

const AT = { op: 'backup' }
const INDEX = 'index.mdb'
const STAGING = 'staging'
/** Staged bytes leave while they are copied; then the index is copied once more. */
const TRIES = 10

/** What backupStore() takes. */
export interface BackupOptions extends StoreLocation {
  /** A file that is not there yet; with `staged`, a directory. */
  to: string
  /** Also copy staged files: bytes that some backend has not received yet. @default false */
  staged?: boolean
  /** Ends it, and removes what was written. */
  signal?: AbortSignal
}

const OPTIONS: RulesOf<BackupOptions> = { ...STORE_RULES, to: needed(is.path), staged: is.boolean, signal: is.signal }

/** What a backup holds. */
export interface BackedUp {
  readonly to: string
  /** Of all files, in bytes. */
  readonly size: number
  /** Staged files that it holds. */
  readonly files: number
}

/**
 * Copies the index of a store as it is at one moment, while other processes go on to use it. Blobs of up to 64 KiB that are staged are
 * part of the index; larger ones are copied with `staged`. What lies on backends is not part of a backup.
 *
 * @throws {StorageError} ALREADY_EXISTS: `to` is there · NO_SPACE · CONFLICT: this process has the store open; or staged bytes leave faster
 *   than they can be copied · INCOMPATIBLE, CORRUPT: the store cannot be opened · ABORTED.
 */
export async function backupStore(options: BackupOptions): Promise<BackedUp> {
  requireRuntime()
  const { to: given, staged = false, signal, ...where } = checkOptions(options, OPTIONS, AT)
  const to = path.resolve(given)
  if (await isTaken(to))
    throw new StorageError('ALREADY_EXISTS', AT, { detail: `${to} exists: name a file or directory that does not` })
  const part = `${to}.stored-part`
  try {
    await rm(part, { recursive: true, force: true })
    await mkdir(path.dirname(to), { recursive: true })
    // Small blobs are in the index: who may not read the store may not read its backup, nor while it is written.
    await mkdir(part, { mode: 0o700 })
    if (staged) await mkdir(path.join(part, STAGING), { mode: 0o700 })
    const written = await write({ where, part, staged, signal })
    await rename(staged ? part : path.join(part, INDEX), to)
    await syncDirectory(path.dirname(to))
    await rm(part, { recursive: true, force: true })
    return { to, ...written }
  } catch (error) {
    await rm(part, { recursive: true, force: true })
    throw mapErrno(error, AT)
  }
}

interface Work {
  readonly where: StoreLocation
  readonly part: string
  readonly staged: boolean
  readonly signal: AbortSignal | undefined
}

async function write({ where, part, staged, signal }: Work): Promise<Omit<BackedUp, 'to'>> {
  const index = path.join(part, INDEX)
  const ledger = await openLedger(where as Parameters<typeof openLedger>[0])
  try {
    for (let tries = 1; ; tries++) {
      requireSignal(signal)
      await requireFree(path.dirname(index), ledger.size)
      await rm(index, { force: true })
      await ledger.copyTo(index)
      await setMode(index, 0o600)
      await flush(index)
      const { size } = await stat(index)
      if (!staged) return { size, files: 0 }
      const copied = await copyStaged(await filesIn(index), stagingOf(where), { to: path.join(part, STAGING), signal })
      if (copied) return { size: size + copied.bytes, files: copied.files }
      if (tries === TRIES)
        throw new StorageError('CONFLICT', AT, { detail: 'staged bytes leave while they are copied: try again later' })
    }
  } finally {
    await ledger.close()
  }
}

async function filesIn(index: string): Promise<StagedFile[]> {
  return readIndex(index, async (reader) => (await Array.fromAsync(stagedFilesOf(lookingAt(reader)))).flat())
}

/** @returns `null`: one has left. Those that were copied before are kept for the next try. */
async function copyStaged(
  files: readonly StagedFile[],
  from: string,
  { to, signal }: { readonly to: string; readonly signal: AbortSignal | undefined },
): Promise<{ files: number; bytes: number } | null> {
  let bytes = 0
  for (const { file, size } of files) {
    requireSignal(signal)
    const target = path.join(to, file)
    if ((await sizeOf(target)) !== size) {
      await requireFree(to, size)
      const isThere = await copyFile(path.join(from, file), target).then(
        () => true,
        (error: NodeJS.ErrnoException) => {
          if (error.code === 'ENOENT') return false
          throw error
        },
      )
      if (!isThere || (await sizeOf(target)) !== size) return null
      await flush(target)
    }
    bytes += size
  }
  await syncDirectory(to)
  return { files: files.length, bytes }
}

async function isTaken(to: string): Promise<boolean> {
  try {
    return (await statIfThere(to)) !== null
  } catch (error) {
    throw mapErrno(error, AT)
  }
}

async function sizeOf(file: string): Promise<number | undefined> {
  return (await statIfThere(file))?.size
}

async function flush(file: string): Promise<void> {
  await using handle = await open(file, 'r+')
  await handle.sync()
}

async function requireFree(directory: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(directory)
  if (bavail * bsize >= bytes) return
  const detail = `the backup takes ${bytes} bytes more, and ${bavail * bsize} are free`
  throw new StorageError('NO_SPACE', AT, { detail })
}

function requireSignal(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new StorageError('ABORTED', AT, { cause: signal.reason })
}
