import { StorageError } from './error.ts'

/**
 * Cuts a body into parts of exactly `partSize` bytes; the last one may be shorter. An empty body has no parts.
 *
 * Holds one part in memory. Each part has its own buffer, so several may be in flight at once. Ending the iteration
 * early releases the body.
 *
 * @param partSize In bytes, at least 1.
 * @throws {StorageError} INVALID_ARGUMENT · what `body` throws.
 */
export async function* partition(
  body: AsyncIterable<Uint8Array>,
  partSize: number,
): AsyncGenerator<Uint8Array, void, void> {
  if (!Number.isSafeInteger(partSize) || partSize < 1)
    throw new StorageError(
      'INVALID_ARGUMENT',
      { op: 'partition' },
      { detail: 'partSize must be a whole number, at least 1' },
    )
  let part: Uint8Array | undefined
  let filled = 0
  for await (const chunk of body) {
    for (let taken = 0; taken < chunk.byteLength; ) {
      // Not from the shared pool: a slice of it would keep 8 KiB alive for each small part.
      part ??= Buffer.allocUnsafeSlow(partSize)
      const piece = chunk.subarray(taken, taken + partSize - filled)
      part.set(piece, filled)
      taken += piece.byteLength
      filled += piece.byteLength
      if (filled < partSize) continue
      yield part
      part = undefined
      filled = 0
    }
  }
  if (part !== undefined) yield part.subarray(0, filled)
}
