import { compareKeys, type ErrorLocation, type ListOptions, type LogEvent, type Stat } from '@stored/core/backend'
import type { Connection, Stats } from './connection.ts'
import { saysAbsent } from './errors.ts'
import { HeldNames, type Named, readInPlace } from './held-names.ts'
import { cannotHold } from './names.ts'
import { isKey, join } from './paths.ts'
import type { Root } from './root.ts'
import { toStat } from './stat.ts'

/** Replaces bytes that are not UTF-8: names of the protocol arrive decoded, so two of them may look the same. */
const REPLACEMENT = '\ufffd'

export interface WalkContext {
  readonly root: Root
  readonly at: ErrorLocation
  readonly options: ListOptions
  /** Lends a connection for one call. */
  readonly use: <T>(work: (connection: Connection, signal: AbortSignal) => Promise<T>) => Promise<T>
  readonly log: (event: LogEvent) => void
}

/** A name below the root: for a file, its key; for a directory, the prefix of the keys in it. */
interface Entry {
  readonly name: string
  /** `null` for a directory. */
  readonly stat: Stat | null
}

/** Lists the blobs in the order of their keys. For each directory on the current path it holds the remaining names. */
export async function* walk(context: WalkContext): AsyncGenerator<Stat, void, void> {
  const { prefix } = context.options
  const base = prefix.slice(0, prefix.lastIndexOf('/') + 1)
  if (base !== '' && !isKey(base.slice(0, -1))) return
  // An empty mount point looks like "nothing there", also at the end if the root disappeared in between.
  await context.use((connection) => context.root.check(connection, context.at))
  yield* below(context, base, new HeldNames(context.at))
  await context.use((connection) => context.root.check(connection, context.at))
}

async function* below(context: WalkContext, base: string, held: HeldNames): AsyncGenerator<Stat, void, void> {
  const before = held.amount
  const read = (connection: Connection, signal: AbortSignal) => entriesOf(context, connection, base, held, signal)
  for (const { name, stat } of await context.use(read))
    if (stat !== null) yield stat
    else yield* below(context, name, held)
  held.amount = before
}

/** The entries of a directory; nothing if it is gone or a link has taken its place. */
async function entriesOf(
  context: WalkContext,
  connection: Connection,
  base: string,
  held: HeldNames,
  signal: AbortSignal,
): Promise<Entry[]> {
  const path = base === '' ? context.root.path : join(context.root.path, base.slice(0, -1))
  try {
    const inPlace = await readInPlace(connection, path, held, signal)
    if (inPlace === null) return []
    const found = await readable(context, connection, base, inPlace)
    const entries = found.map((entry) => toEntry(context, base, entry))
    return entries.filter((entry) => entry !== null).sort((a, b) => compareKeys(a.name, b.name))
  } catch (error) {
    if (saysAbsent(error) || (await cannotHold(connection, context.root, error))) return []
    throw error
  }
}

/**
 * Leaves out names that are not UTF-8. Each looks like a name with U+FFFD, which may exist as well: that one is looked
 * up by its name, since which of the entries belongs to it is unknown.
 */
async function readable(
  { root, log }: WalkContext,
  connection: Connection,
  base: string,
  found: readonly Named[],
): Promise<readonly Named[]> {
  const doubtful = new Map<string, number>()
  for (const { filename } of found)
    if (filename.includes(REPLACEMENT)) doubtful.set(filename, (doubtful.get(filename) ?? 0) + 1)
  const entries = found.filter(({ filename }) => !doubtful.has(filename))
  for (const [filename, count] of doubtful) {
    const key = base + filename
    const attrs = await lstatIfThere(connection, join(root.path, key))
    if (attrs !== null) entries.push({ filename, attrs })
    const foreign = count - (attrs === null ? 0 : 1)
    const message = `not listed: ${foreign} of this name is not valid UTF-8`
    if (foreign > 0) log({ level: 'warn', message, key })
  }
  return entries
}

/** @returns `null` for an entry that neither can be a blob nor leads to a requested one. */
function toEntry({ options, log }: WalkContext, base: string, { filename, attrs }: Named): Entry | null {
  if (!attrs.isDirectory() && !attrs.isFile()) return null
  const name = base + filename
  if (name === '.stored') return null
  if (!isKey(name)) {
    log({ level: 'warn', message: 'not listed: its name cannot be a key', key: name })
    return null
  }
  if (attrs.isDirectory()) return leadsTo(`${name}/`, options) ? { name: `${name}/`, stat: null } : null
  const { prefix, startAfter } = options
  const wanted = name.startsWith(prefix) && (startAfter === undefined || compareKeys(name, startAfter) > 0)
  return wanted ? { name, stat: toStat(name, attrs) } : null
}

/** Whether keys that start with `base` may be requested. */
function leadsTo(base: string, { prefix, startAfter = '' }: ListOptions): boolean {
  if (!base.startsWith(prefix) && !prefix.startsWith(base)) return false
  return compareKeys(base, startAfter) > 0 || startAfter.startsWith(base)
}

async function lstatIfThere(connection: Connection, path: string): Promise<Stats | null> {
  return connection.lstat(path).catch((error) => {
    if (saysAbsent(error)) return null
    throw error
  })
}
