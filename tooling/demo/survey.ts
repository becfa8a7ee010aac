import { lstat, readdir } from 'node:fs/promises'
import { type Digest, digestFile } from './digest.ts'
import { inFlight } from './in-flight.ts'
import type { Progress } from './progress.ts'

/** A file of the folder, with its digest by node:crypto. */
export interface SourceFile extends Digest {
  readonly path: string
  /** Its path below the folder, with slashes: its key. */
  readonly key: string
}

/** An entry of the folder that is not stored. */
export interface Skipped {
  readonly name: string
  readonly why: string
}

interface Found {
  readonly files: { readonly path: string; readonly key: string }[]
  readonly skipped: Skipped[]
  /** Symbolic links, which are not followed. */
  links: number
}

/** All regular files below `root`, in the order of their names. Follows no links. */
export async function findFiles(root: string): Promise<Found> {
  const found: Found = { files: [], skipped: [], links: 0 }
  await walk(root, '', found)
  return found
}

async function walk(directory: string, prefix: string, found: Found): Promise<void> {
  // As bytes: a name that is not UTF-8 would otherwise be decoded to another name.
  const entries = await readdir(directory, { withFileTypes: true, encoding: 'buffer' }).catch((error: Error) => {
    found.skipped.push({ name: prefix || directory, why: error.message })
    return []
  })
  for (const entry of entries.sort((a, b) => Buffer.compare(a.name, b.name))) {
    const name = entry.name.toString()
    const key = `${prefix}${name}`
    const path = `${directory}/${name}`
    if (!Buffer.from(name).equals(entry.name)) found.skipped.push({ name: key, why: 'its name is not UTF-8' })
    else if (entry.isDirectory()) await walk(path, `${key}/`, found)
    else if (entry.isFile()) found.files.push({ path, key })
    else if (entry.isSymbolicLink()) found.links++
    else found.skipped.push({ name: key, why: 'neither a file nor a folder' })
  }
}

/** At most `limit` of them, spread evenly: the same ones each time. */
export function choose<T>(files: readonly T[], limit: number): T[] {
  if (files.length <= limit) return [...files]
  return Array.from({ length: limit }, (_, i) => files[Math.floor((i * files.length) / limit)] as T)
}

/** Sums up sizes before anything is read. A file that cannot be examined counts as zero. */
export async function totalSize(files: readonly { readonly path: string }[]): Promise<number> {
  let total = 0
  await inFlight(16, files, async ({ path }) => {
    const stat = await lstat(path).catch(() => null) // Reported when it is read.
    total += stat?.size ?? 0
  })
  return total
}

/** Computes the digest of each file. Unreadable files go to `skipped`. */
export async function digestAll(found: Pick<Found, 'files' | 'skipped'>, progress: Progress): Promise<SourceFile[]> {
  const digests = new Map<string, Digest>()
  await inFlight(8, found.files, async ({ path, key }) => {
    try {
      digests.set(key, await digestFile(path))
    } catch (error) {
      found.skipped.push({ name: key, why: (error as Error).message })
    }
    progress.add(1)
  })
  return found.files.flatMap((file) => {
    const digest = digests.get(file.key)
    return digest ? [{ ...file, ...digest }] : []
  })
}
