import { lstat, readdir } from 'node:fs/promises'
import path from 'node:path'
import { compareKeys, escapeName } from '@stored/core/backend'

/** A file, or the reason why an entry cannot be stored. */
export type Found =
  | { readonly file: string; readonly name: string; readonly size: number; readonly why?: never }
  | {
      readonly file: string
      readonly name: string
      readonly why: string
      readonly cause?: unknown
      readonly isOwn?: true
    }

/** The name of an entry in its directory, and the path to the file. */
interface Named {
  readonly name: string
  /** Sorts as keys do: the contents of a directory sort with a slash after its name. */
  readonly order: string
  /** The bytes are not UTF-8: `name` is only for display, and no path leads to the file. */
  readonly isForeign: boolean
}

/**
 * Every file below a directory, in the order of their keys; `name` is relative to it, with `/`. Entries that are not
 * regular files or cannot be read are reported, and so is a directory that `isOurs`. Memory holds only the names in the
 * directories on the current path.
 *
 * A name that is not UTF-8 is reported with its bytes escaped. It has no key, and its decoded text may be the name of
 * another file.
 */
export async function* walk(root: string, isOurs: (directory: string) => boolean, below = ''): AsyncGenerator<Found> {
  const directory = path.join(root, ...below.split('/'))
  if (isOurs(directory)) {
    yield { file: directory, name: below, why: 'it belongs to the store itself', isOwn: true }
    return
  }
  let entries: readonly Named[]
  try {
    entries = await readNames(directory)
  } catch (cause) {
    yield { file: directory, name: below, why: 'cannot be read', cause }
    return
  }
  for (const { name, order, isForeign } of entries) {
    const inside = below === '' ? name : `${below}/${name}`
    if (isForeign) yield { file: path.join(directory, name), name: inside, why: 'its name is not valid UTF-8' }
    else if (order.endsWith('/')) yield* walk(root, isOurs, inside)
    else yield await look(path.join(directory, name), inside)
  }
}

async function readNames(directory: string): Promise<Named[]> {
  const entries = await readdir(directory, { withFileTypes: true, encoding: 'buffer' })
  return entries
    .map((entry) => named(entry.name, entry.isDirectory()))
    .sort((a, b) => compareKeys(a.order, b.order) || compareKeys(a.name, b.name))
}

function named(bytes: Buffer, isDirectory: boolean): Named {
  const text = bytes.toString()
  const isForeign = !Buffer.from(text).equals(bytes)
  return { name: isForeign ? escapeName(bytes) : text, order: isDirectory ? `${text}/` : text, isForeign }
}

async function look(file: string, name: string): Promise<Found> {
  try {
    const stats = await lstat(file)
    if (stats.isFile()) return { file, name, size: stats.size }
    return { file, name, why: stats.isSymbolicLink() ? 'a symbolic link' : 'not a regular file' }
  } catch (cause) {
    return { file, name, why: 'cannot be read', cause }
  }
}
