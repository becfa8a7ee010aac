import { lstat, readdir } from 'node:fs/promises'
import path from 'node:path'
import { compareKeys } from '@stored/core/backend'

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

interface Named {
  readonly name: string
  /** As keys sort: what lies in a directory sorts with a slash behind its name. */
  readonly order: string
}

/**
 * Every file below a directory, in the order of their keys; `name` is relative to it, with `/`. What is no regular file, or
 * cannot be read, is told, and so is a directory that `isOurs`. Holds the names of the directories on the way to one, and no more.
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
  for (const { name, order } of entries) {
    const inside = below === '' ? name : `${below}/${name}`
    if (order.endsWith('/')) yield* walk(root, isOurs, inside)
    else yield await look(path.join(directory, name), inside)
  }
}

async function readNames(directory: string): Promise<Named[]> {
  const entries = await readdir(directory, { withFileTypes: true })
  return entries
    .map((entry) => ({ name: entry.name, order: entry.isDirectory() ? `${entry.name}/` : entry.name }))
    .sort((a, b) => compareKeys(a.order, b.order))
}

async function look(file: string, name: string): Promise<Found> {
  try {
    const stats = await lstat(file)
    if (stats.isFile()) return { file, name, size: stats.size }
    return { file, name, why: stats.isSymbolicLink() ? 'a symbolic link' : 'no regular file' }
  } catch (cause) {
    // Bytes that are no UTF-8 came as this, and no file has the name that became of them.
    return { file, name, why: name.includes('\ufffd') ? 'its name is not UTF-8' : 'cannot be read', cause }
  }
}
