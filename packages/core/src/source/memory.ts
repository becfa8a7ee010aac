import { type ErrorLocation, StorageError } from '../backend/error.ts'
import type { Source } from './source.ts'

/** Bytes in memory come in chunks of this size, so that hashing does not hold up the event loop for long. */
const CHUNK_BYTES = 1 << 20

/** A source of bytes in memory. What shares its memory with another thread, or can be resized, does not keep still. */
export function inMemory(
  source: ArrayBufferView | ArrayBufferLike,
  signal: AbortSignal | undefined,
  at: ErrorLocation,
): Source {
  const buffer = 'buffer' in source ? source.buffer : source
  if (isDetached(buffer))
    throw new StorageError('INVALID_ARGUMENT', at, { detail: 'the buffer was detached: its bytes are elsewhere' })
  const bytes = 'buffer' in source ? bytesOf(source) : new Uint8Array(source)
  signal?.throwIfAborted()
  const isFixed = buffer instanceof ArrayBuffer && !buffer.resizable
  const size = bytes.byteLength
  return {
    body: chunksOf({ bytes, size }, signal, at),
    size,
    release() {},
    ...(isFixed && { keepsStill: true }),
  }
}

/** Whether its bytes were handed to somebody else. One that is shared never is. */
export function isDetached(buffer: ArrayBufferLike): boolean {
  return buffer instanceof ArrayBuffer && buffer.detached
}

function bytesOf(view: ArrayBufferView): Uint8Array {
  const { buffer, byteOffset, byteLength } = view
  return new Uint8Array(buffer, byteOffset, byteLength)
}

/** @throws {StorageError} SOURCE_CHANGED when the buffer is detached, or becomes shorter or longer, before all was read. */
function* chunksOf(
  { bytes, size }: { bytes: Uint8Array; size: number },
  signal: AbortSignal | undefined,
  at: ErrorLocation,
): Generator<Uint8Array, void, void> {
  for (let offset = 0; ; offset += CHUNK_BYTES) {
    // Before the first one: the reader may have waited for room. And behind the last one: it may not have been used yet.
    if (bytes.byteLength !== size)
      throw new StorageError('SOURCE_CHANGED', at, { detail: 'the buffer was detached or resized while it was read' })
    if (offset >= size) return
    signal?.throwIfAborted()
    yield bytes.subarray(offset, offset + CHUNK_BYTES)
  }
}
