// Runs in a worker thread. One file at a time, without a turn of the event loop for each chunk.
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import type { Hasher } from '@stored/core'
import { CHUNK_BYTES, type FileOutcome, type FileTask, OPEN_FLAGS, unchanged } from './file-outcome.ts'
import { checksums } from './hasher.ts'

const buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES)

/** The task of `ChecksumPool`. Never throws. */
export async function digestFile(task: FileTask): Promise<FileOutcome> {
  try {
    // Loaded before the file is opened: from then on nothing else runs here.
    const hasher = await checksums.hasher(task.algorithms)
    const fd = openSync(task.path, OPEN_FLAGS)
    try {
      return readToEnd(fd, hasher)
    } finally {
      closeSync(fd)
    }
  } catch (error) {
    return { errno: { ...(error as NodeJS.ErrnoException), message: (error as Error).message } }
  }
}

function readToEnd(fd: number, hasher: Hasher): FileOutcome {
  const before = fstatSync(fd, { bigint: true })
  if (!before.isFile()) return { fault: 'irregular' }
  let total = 0
  for (let read = readSync(fd, buffer); read > 0; read = readSync(fd, buffer)) {
    hasher.update(buffer.subarray(0, read))
    total += read
  }
  if (!unchanged(before, fstatSync(fd, { bigint: true }), total)) return { fault: 'changed' }
  return { digests: hasher.digest() }
}
