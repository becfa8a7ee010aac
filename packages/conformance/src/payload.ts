/*
 * Bytes that identify their writer. A payload is a row of blocks; each contains its writer's number, its own offset, and bytes
 * derived from seed, writer and offset. A read that mixes two writes therefore names both, and where they meet.
 *
 *   0        2                8                                32
 *   ┌────────┬────────────────┬────────────────────────────────┐
 *   │ writer │ offset         │ of seed, writer and offset     │
 *   └────────┴────────────────┴────────────────────────────────┘
 */
const BLOCK_BYTES = 32
const HEADER_BYTES = 8

/** `size` bytes written by `writer`, starting at `offset`. */
export function payload(seed: number, writer: number, size: number, offset = 0): Uint8Array {
  const first = Math.floor(offset / BLOCK_BYTES)
  const last = Math.ceil((offset + size) / BLOCK_BYTES)
  const blocks = new Uint8Array((last - first) * BLOCK_BYTES)
  const view = new DataView(blocks.buffer)
  for (let block = first; block < last; block++) writeBlock(view, (block - first) * BLOCK_BYTES, seed, writer, block)
  const skipped = offset - first * BLOCK_BYTES
  return blocks.subarray(skipped, skipped + size)
}

/** The same bytes in chunks, generated as they are read: holds only one chunk. */
export async function* payloadStream(
  seed: number,
  writer: number,
  size: number,
  chunkBytes = 64 << 10,
): AsyncGenerator<Uint8Array, void, undefined> {
  for (let offset = 0; offset < size; offset += chunkBytes)
    yield payload(seed, writer, Math.min(chunkBytes, size - offset), offset)
}

/** The writer identified in the first block of a whole blob. */
export function writerOf(bytes: Uint8Array): number {
  return bytes.length < 2 ? -1 : new DataView(bytes.buffer, bytes.byteOffset).getUint16(0)
}

/** Which payload the byte at `index` of `bytes` belongs to, for a failure message. */
export function provenance(seed: number, bytes: Uint8Array, index: number): string {
  if (index >= bytes.length) return 'the end'
  const start = index - (index % BLOCK_BYTES)
  const block = bytes.subarray(start, start + BLOCK_BYTES)
  if (block.length < HEADER_BYTES) return describeByte(bytes, index)
  const view = new DataView(block.buffer, block.byteOffset, block.length)
  const writer = view.getUint16(0)
  const offset = view.getUint16(2) * 2 ** 32 + view.getUint32(4)
  if (!Buffer.from(payload(seed, writer, block.length, offset)).equals(block)) return describeByte(bytes, index)
  return `what writer ${writer} wrote at ${offset + (index - start)}`
}

function describeByte(bytes: Uint8Array, index: number): string {
  return `0x${(bytes[index] as number).toString(16).padStart(2, '0')}, in a block no writer wrote`
}

function writeBlock(view: DataView, at: number, seed: number, writer: number, block: number): void {
  const offset = block * BLOCK_BYTES
  view.setUint16(at, writer)
  view.setUint16(at + 2, Math.floor(offset / 2 ** 32))
  view.setUint32(at + 4, offset >>> 0)
  let state = mix(seed ^ mix(writer ^ mix(block)))
  for (let word = HEADER_BYTES; word < BLOCK_BYTES; word += 4) {
    state = mix(state + 0x9e3779b9)
    view.setUint32(at + word, state >>> 0)
  }
}

/** The finalizer of MurmurHash3: every bit of the input changes about half of the output. */
function mix(value: number): number {
  let h = value | 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}

/** Seeded numbers in [0, 1). */
export function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x9e3779b9) | 0
    return (mix(state) >>> 0) / 2 ** 32
  }
}
