import { randomUUID } from 'node:crypto'
import { createWriteStream, type Stats } from 'node:fs'
import { link, open, realpath, rename, rm, stat } from 'node:fs/promises'
import path from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { Blob } from './read-blob.ts'

/**
 * Writes a file that appears whole or not at all. Until it appears, the blob may be read again from another copy.
 *
 * @param o.replace Replace an existing file and keep its mode; otherwise fail with EEXIST. Anything but a regular file,
 *   such as a pipe, is written into.
 */
export async function writeWhole(
  file: string,
  { read }: Pick<Blob, 'read'>,
  { replace, signal }: { replace: boolean; signal: AbortSignal },
): Promise<void> {
  const there = await statOf(file)
  if (there && !there.isFile() && replace)
    return read((bytes) => pipeline(bytes, createWriteStream(file), { signal }), { mayBeginAgain: false })
  // Keep a link a link.
  const target = there ? await realpath(file) : file
  // Otherwise the error would name the temporary file.
  await stat(path.dirname(target))
  // Fixed length, and in the same directory: rename() is atomic only within one file system.
  const temp = path.join(path.dirname(target), `.stored-${randomUUID()}`)
  try {
    await read((bytes) => writeNew(temp, bytes, there?.mode, signal), { mayBeginAgain: true })
    // rename() replaces, link() refuses a taken name.
    if (replace) await rename(temp, target)
    else await link(temp, target)
  } finally {
    await rm(temp, { force: true })
  }
}

async function writeNew(
  file: string,
  bytes: AsyncIterable<Uint8Array>,
  mode: number | undefined,
  signal: AbortSignal,
): Promise<void> {
  // Left over from another copy.
  await rm(file, { force: true })
  await using handle = await open(file, 'wx')
  if (mode !== undefined) await handle.chmod(mode & 0o7777)
  for await (const chunk of bytes) {
    signal.throwIfAborted()
    await handle.writeFile(chunk)
  }
  await handle.sync()
}

async function statOf(file: string): Promise<Stats | null> {
  try {
    return await stat(file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}
