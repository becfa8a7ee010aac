import type { Stats } from 'node:fs'
import { lstat, readlink, stat } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { type ErrorLocation, StorageError } from '@stored/core/backend'

/*
 * A configuration says which programs are loaded, and a module is a program. Who stands in a directory did not choose what others
 * left there: what was found is obeyed only if nobody else could have written it, or led to it. What was named is not asked.
 */

const EVERYBODY_WRITES = 0o002
/** In a directory with this bit, users cannot replace each other's files. */
const STICKY = 0o1000
/** The number of links that Linux follows. */
const MOST_LINKS = 40

/**
 * Refuses files that another user could have written. Each file, its directory and every link on the way must belong to
 * the user, to root, or to the owner of StoreD's own files, who is trusted already; and must not be world-writable.
 * Missing files are left to the code that reads them. Node.js does not know Windows owners: there everything passes.
 *
 * @throws {StorageError} PERMISSION_DENIED.
 */
export async function checkOwners(files: readonly string[], at: ErrorLocation): Promise<void> {
  const user = process.geteuid?.()
  if (user === undefined) return
  const owners = new Set([user, 0, ...(await ownOwner())])
  for (const file of files)
    for (const part of await partsOf(file)) {
      const why = whyNot(part, owners)
      if (why === null) continue
      const depends = part.path === file ? '' : `; ${file} depends on it`
      const remedy = 'nothing there is obeyed unless you name the configuration: --config FILE, or STORED_CONFIG=FILE'
      throw new StorageError('PERMISSION_DENIED', at, { detail: `${part.path} ${why}${depends}; ${remedy}` })
    }
}

async function ownOwner(): Promise<number[]> {
  const found = await stat(fileURLToPath(import.meta.url)).catch(() => null)
  return found === null ? [] : [found.uid]
}

interface Part {
  readonly path: string
  readonly stats: Stats
}

function whyNot({ stats }: Part, owners: ReadonlySet<number>): string | null {
  if (!owners.has(stats.uid)) return `belongs to user ${stats.uid}, and neither to you nor to root`
  const isShared = stats.isDirectory() && (stats.mode & STICKY) !== 0
  // Links have no modes of their own.
  if (stats.isSymbolicLink() || isShared || (stats.mode & EVERYBODY_WRITES) === 0) return null
  return `is for everybody to write (mode ${(stats.mode & 0o7777).toString(8).padStart(4, '0')})`
}

/** The links on the way to `file`, its directory, and the file itself; as far as they exist. */
async function partsOf(file: string): Promise<Part[]> {
  const links: Part[] = []
  let last: Part[] = []
  let { root: at } = path.parse(file)
  const names = namesIn(file.slice(at.length))
  for (let name = names.shift(); name !== undefined; name = names.shift()) {
    const next = path.join(at, name)
    const stats = await lstat(next).catch(() => null)
    if (stats === null) return [...links, ...last.slice(-1)]
    if (stats.isSymbolicLink()) {
      if (links.push({ path: next, stats }) > MOST_LINKS) return links
      const target = await readlink(next)
      if (path.isAbsolute(target)) [at, last] = [path.parse(target).root, []]
      names.unshift(...namesIn(target))
    } else {
      last = [...last.slice(-1), { path: next, stats }]
      at = next
    }
  }
  return [...links, ...last]
}

function namesIn(text: string): string[] {
  return text.split(path.sep).filter((name) => name !== '' && name !== '.')
}
