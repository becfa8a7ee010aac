import type { FileHandle } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import { StorageError } from '@stored/core/backend'
import { BLOCK, type Marks } from './marks.ts'

export interface BodyOptions {
  /** Absent: the whole body. */
  readonly range: { readonly offset: number; readonly end: number } | undefined
  readonly marks: Marks
  readonly signal: AbortSignal
  /** Called with the number of bytes delivered. */
  readonly onDelivered: (bytes: number) => void
}

/**
 * The bytes of a body of several blocks. Reads the next block while one is being used. A range is checked by the marks,
 * a whole body by the caller that hashes it.
 *
 * @throws {StorageError} CORRUPT, before a damaged byte of a range is delivered, and at the end of a truncated file.
 */
export async function* readBlocks(
  handle: FileHandle,
  { range, marks, signal, onDelivered }: BodyOptions,
): AsyncGenerator<Uint8Array, void, void> {
  const { offset, end } = range ?? { offset: 0, end: marks.size }
  const read = (index: number) => {
    const block = index * BLOCK < end ? readBlock(handle, index, marks.size) : null
    block?.catch(() => {}) // Awaited with the next turn; until then a failure is not unhandled.
    return block
  }
  let index = Math.floor(offset / BLOCK)
  let next = read(index)
  try {
    while (next) {
      const block: Buffer = await next
      signal.throwIfAborted()
      next = read(index + 1)
      if (range && crc32(block) !== marks.blocks[index]) throw damaged('a block has another checksum')
      const start = index * BLOCK
      const wanted = block.subarray(Math.max(0, offset - start), end - start)
      onDelivered(wanted.length)
      yield wanted
      index++
    }
  } finally {
    // A reader that leaves early closes the file: not during a read.
    await Promise.allSettled([next])
  }
}

async function readBlock(handle: FileHandle, index: number, size: number): Promise<Buffer> {
  const start = index * BLOCK
  const block = Buffer.allocUnsafeSlow(Math.min(BLOCK, size - start))
  for (let filled = 0; filled < block.length; ) {
    const { bytesRead } = await handle.read(block, filled, block.length - filled, start + filled)
    if (bytesRead === 0) throw damaged('a file is too short')
    filled += bytesRead
  }
  return block
}

function damaged(detail: string): StorageError {
  return new StorageError('CORRUPT', { op: 'get' }, { detail })
}
