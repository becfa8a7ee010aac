import { lstat, readdir } from 'node:fs/promises'
import path from 'node:path'
import { compareKeys, escapeName } from '@stored/core/backend'

/** A file that was met, or why what was met is none that can be stored. */
export type Found =
  | { readonly file: string; readonly name: string; readonly size: number; readonly why?: never }
  | {
      readonly file: string
      readonly name: string
      readonly why: string
      readonly cause?: unknown
      readonly isOwn?: true
    }

/** A name as it is in its directory, and how the file is found by it. */
interface Named {
  readonly name: string
  /** As keys sort: what lies in a directory sorts with a slash behind its name. */
  readonly order: string
  /** Of bytes that are not UTF-8: `name` is for people, and no path leads there. */
  readonly isForeign: boolean
}

/**
 * Every file below a directory, in the order of their keys; `name` is relative to it, with `/`. What is no regular file, or
 * cannot be read, is told, and so is a directory that `isOurs`. Holds the names of the directories on the way to one, and no more.
 *
 * A name that is not UTF-8 is told with its bytes escaped. It has no key, and the text that others make of it may be the name of
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
    if (isForeign) yield { file: path.join(directory, name), name: inside, why: 'its name cannot be read as text' }
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
