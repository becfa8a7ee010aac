import { isUtf8 } from 'node:buffer'
import type { Dirent } from 'node:fs'
import {
  compareKeys,
  type ErrorLocation,
  escapeName,
  type ListOptions,
  type LogEvent,
  type Stat,
} from '@stored/core/backend'
import { saysAbsent } from './errors.ts'
import type { Held } from './held.ts'
import { io } from './io.ts'
import { cannotHold } from './names.ts'
import { isKey, join } from './paths.ts'
import type { Root } from './root.ts'
import { toStat } from './stat.ts'

/** How many files are examined together. */
const BATCH = 64

/** A name below the root: for a file, its key; for a directory, the prefix of the keys in it. */
interface Entry {
  readonly name: string
  readonly isDirectory: boolean
}

/** Lists the blobs in the order of their keys. For each directory on the current path it holds the remaining names. */
export async function* walk(
  root: Root,
  options: ListOptions,
  at: ErrorLocation,
  log: (event: LogEvent) => void,
): AsyncGenerator<Stat, void, void> {
  const base = options.prefix.slice(0, options.prefix.lastIndexOf('/') + 1)
  if (base !== '' && !isKey(base.slice(0, -1))) return
  // An empty mount point looks like "nothing there", also at the end if the root disappeared in between.
  await root.check(at)
  const stack = [await entriesOf(root, base, options, log)]
  for (let entries = stack.at(-1); entries !== undefined; entries = stack.at(-1)) {
    options.signal.throwIfAborted()
    const files = takeFiles(entries, Math.min(options.hint ?? BATCH, BATCH))
    for (const stat of await statsOf(root, files)) yield stat
    const next = files.length > 0 ? undefined : entries.pop()
    if (next !== undefined) stack.push(await entriesOf(root, next.name, options, log))
    else if (entries.length === 0) stack.pop()
  }
  await root.check(at)
}

/** The entries of a directory, the first one last; nothing if it is gone or a link has taken its place. */
async function entriesOf(
  root: Root,
  base: string,
  options: ListOptions,
  log: (event: LogEvent) => void,
): Promise<Entry[]> {
  try {
    using directory = await root.openDirectory(pathOf(root, base))
    const found = await io.entries(directory.at('.'))
    // Without /proc the path may have led elsewhere.
    if (!(await directory.isHere())) return []
    return found.flatMap((entry) => toEntry(base, entry, options, log)).sort((a, b) => compareKeys(b.name, a.name))
  } catch (error) {
    if (saysAbsent(error) || (await cannotHold(root, error))) return []
    throw error
  }
}

/** @returns Nothing for an entry that neither can be a blob nor leads to a requested one. */
function toEntry(base: string, entry: Dirent<Buffer>, options: ListOptions, log: (event: LogEvent) => void): Entry[] {
  const isDirectory = entry.isDirectory()
  if (!isDirectory && !entry.isFile()) return []
  const isText = isUtf8(entry.name)
  const name = base + (isText ? entry.name.toString() : escapeName(entry.name))
  if (name === '.stored') return []
  if (!isText || !isKey(name)) {
    const message = isText ? 'its name cannot be a key' : 'its name is not valid UTF-8'
    log({ level: 'warn', message: `not listed: ${message}`, key: name })
    return []
  }
  if (isDirectory) return leadsTo(`${name}/`, options) ? [{ name: `${name}/`, isDirectory }] : []
  const wanted =
    name.startsWith(options.prefix) && (options.startAfter === undefined || compareKeys(name, options.startAfter) > 0)
  return wanted ? [{ name, isDirectory }] : []
}

/** Whether keys that start with `base` may be requested. */
function leadsTo(base: string, { prefix, startAfter = '' }: ListOptions): boolean {
  if (!base.startsWith(prefix) && !prefix.startsWith(base)) return false
  return compareKeys(base, startAfter) > 0 || startAfter.startsWith(base)
}

/** Takes the files before the next directory, at most `count`. */
function takeFiles(entries: Entry[], count: number): Entry[] {
  const files: Entry[] = []
  while (files.length < count && entries.at(-1)?.isDirectory === false) files.push(entries.pop() as Entry)
  return files
}

/**
 * The stats of blobs in one directory. It is opened for this, since a link may have taken its place while earlier blobs
 * were being used. It is not kept open in between, since a listing may pause for as long as its caller likes.
 */
async function statsOf(root: Root, files: readonly Entry[]): Promise<Stat[]> {
  const [first] = files
  if (first === undefined) return []
  const length = first.name.lastIndexOf('/') + 1
  try {
    using directory = await root.openDirectory(pathOf(root, first.name.slice(0, length)))
    const stats = await Promise.all(files.map(({ name }) => statOf(directory, name.slice(length), name)))
    return (await directory.isHere()) ? stats.filter((stat) => stat !== null) : []
  } catch (error) {
    if (saysAbsent(error)) return []
    throw error
  }
}

async function statOf(directory: Held, name: string, key: string): Promise<Stat | null> {
  try {
    const stat = await io.lstat(directory.at(name))
    return stat.isFile() ? toStat(key, stat) : null
  } catch (error) {
    if (saysAbsent(error)) return null
    throw error
  }
}

/** The directory of the keys that start with `base`, which is empty or ends with a slash. */
function pathOf(root: Root, base: string): string {
  return base === '' ? root.path : join(root.path, base.slice(0, -1))
}
