import { type FileHandle, open } from 'node:fs/promises'
import type { Algorithm, Digests, Hasher } from '@stored/core'
import { toStorageError } from '@stored/core/backend'
import {
  AT,
  CHUNK_BYTES,
  checkTask,
  type FileOutcome,
  type FileTask,
  fileError,
  OPEN_FLAGS,
  settle,
  unchanged,
} from './file-outcome.ts'
import { checksums } from './hasher.ts'

/** Options of `fileDigests`. */
export interface FileDigestsOptions {
  readonly signal?: AbortSignal | undefined
}

/**
 * Digests of a file, read once in chunks of 1 MiB; the next one is read while the last one is hashed, which happens in this
 * thread. For many files see `ChecksumPool`.
 *
 * @throws {StorageError} SOURCE_CHANGED: it was written to during the call · NOT_FOUND · PERMISSION_DENIED · INVALID_ARGUMENT: not
 *   a regular file, an unusable path, an unknown algorithm · ABORTED.
 */
export async function fileDigests(
  path: string,
  algorithms: readonly Algorithm[],
  options: FileDigestsOptions = {},
): Promise<Digests> {
  const task = { path, algorithms }
  checkTask(task, options)
  return settle(await readFile(task, options.signal), task)
}

async function readFile(task: FileTask, signal: AbortSignal | undefined): Promise<FileOutcome> {
  try {
    signal?.throwIfAborted()
    await using handle = await open(task.path, OPEN_FLAGS)
    const before = await handle.stat({ bigint: true })
    if (!before.isFile()) return { fault: 'irregular' }
    const hasher = await checksums.hasher(task.algorithms)
    // One byte more than there should be, so that a small file and its end are found with small buffers.
    const total = await hashAll(handle, hasher, Math.min(CHUNK_BYTES, Number(before.size) + 1), signal)
    if (!unchanged(before, await handle.stat({ bigint: true }), total)) return { fault: 'changed' }
    return { digests: hasher.digest() }
  } catch (error) {
    throw signal?.aborted ? toStorageError(error, AT, signal) : fileError(error)
  }
}

async function hashAll(
  handle: FileHandle,
  hasher: Hasher,
  chunkBytes: number,
  signal: AbortSignal | undefined,
): Promise<number> {
  let filling = Buffer.allocUnsafe(chunkBytes)
  let hashing = Buffer.allocUnsafe(chunkBytes)
  let total = 0
  let reading = handle.read(filling)
  for (;;) {
    const { bytesRead } = await reading
    // Here nothing is under way, so nothing is left behind.
    signal?.throwIfAborted()
    if (bytesRead === 0) return total
    ;[filling, hashing] = [hashing, filling]
    reading = handle.read(filling)
    hasher.update(hashing.subarray(0, bytesRead))
    total += bytesRead
  }
}
