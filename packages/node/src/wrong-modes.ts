import type { Stats } from 'node:fs'
import { chmod, lstat, opendir, stat } from 'node:fs/promises'
import path from 'node:path'
import { type AccessMode, directoryMode, fileMode } from '@stored/core/files'
import { accessMode } from './check-config.ts'
import type { StoreConfig } from './config.ts'

/**
 * Names in a store's directory that are the store's own, except its sockets: everyone who reaches those may use them.
 * All other files belong to the user.
 */
const OURS =
  /^(?:index\.mdb(?:-lock|\.stored-kept-.+)?|index\.new\.mdb(?:-lock)?|index\.v2\.bak|(?:opening|committing)\.mdb(?:-lock)?|ballast|staging|cache|verify\.json)$/

/** A file or directory of a store that others can use, or that intended users cannot. */
export interface WrongMode {
  readonly path: string
  /** The current and the intended mode: bits as in chmod(2). */
  readonly mode: number
  readonly expected: number
  /** Whether someone can use it who should not. */
  readonly isOpen: boolean
  /** With `fix`: why it could not be changed. */
  readonly error?: unknown
}

/**
 * Files of a store whose mode differs from the configuration; none if there is no store, or no modes (Windows). For the
 * read cache only the directory is checked, which also closes its contents. Files in the directory that are not the
 * store's are left alone.
 *
 * With `fix` it changes the modes; what could not be changed has an `error`.
 */
export async function* wrongModes(
  config: Pick<StoreConfig, 'path' | 'mode' | 'cache'>,
  { fix = false, signal }: { fix?: boolean; signal?: AbortSignal } = {},
): AsyncGenerator<WrongMode, void, void> {
  if (process.platform === 'win32') return
  const mode = accessMode(config.mode)
  for await (const { path, stats } of partsOf(config)) {
    signal?.throwIfAborted()
    const wrong = judge(path, stats, mode)
    if (wrong) yield fix ? await mend(wrong) : wrong
  }
}

interface Part {
  readonly path: string
  readonly stats: Stats
}

async function* partsOf({ path: directory, cache }: Pick<StoreConfig, 'path' | 'cache'>): AsyncGenerator<Part> {
  // Not lstat: a configured link stands for its directory.
  const stats = await unlessGone(stat(directory))
  if (!stats?.isDirectory()) return
  yield { path: directory, stats }
  yield* entriesOf(directory, OURS)
  yield* entriesOf(path.join(directory, 'staging'))
  const location = cache ? cache.location : undefined
  const cached = location === undefined ? null : await unlessGone(stat(location))
  if (cached?.isDirectory()) yield { path: location as string, stats: cached }
}

async function* entriesOf(directory: string, names = /^/): AsyncGenerator<Part> {
  for await (const { name } of (await unlessGone(opendir(directory))) ?? []) {
    if (!names.test(name)) continue
    const file = path.join(directory, name)
    const stats = await unlessGone(lstat(file))
    if (stats && !stats.isSymbolicLink()) yield { path: file, stats }
  }
}

function judge(path: string, stats: Stats, access: AccessMode): WrongMode | null {
  const mode = stats.mode & 0o7777
  const expected = stats.isDirectory() ? directoryMode(access) : fileMode(access)
  const isOpen = (mode & 0o777 & ~expected) !== 0
  return isOpen || (expected & ~mode) !== 0 ? { path, mode, expected, isOpen } : null
}

async function mend(wrong: WrongMode): Promise<WrongMode> {
  try {
    await chmod(wrong.path, wrong.expected)
    const { mode } = await stat(wrong.path)
    if ((mode & 0o777) === (wrong.expected & 0o777)) return wrong
    return { ...wrong, error: new Error('its file system keeps no modes') }
  } catch (error) {
    return { ...wrong, error }
  }
}

async function unlessGone<T>(asked: Promise<T>): Promise<T | null> {
  try {
    return await asked
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return null
    throw error
  }
}
