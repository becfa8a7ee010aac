import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'

/** A body is read and checked in blocks of this many bytes. */
export const BLOCK = 1024 * 1024

/** Kept for a body of several blocks, to find damage before it is delivered. */
export interface Marks {
  readonly size: number
  /** CRC-32 of each block: for ranges. */
  readonly blocks: readonly number[]
  /**
   * SHA-256, in hex, of the bytes up to the end of each block except the last: for a whole body, which is hashed
   * anyway.
   */
  readonly prefixes: readonly string[]
}

/** Makes the marks of a passing body. */
export class MarkMaker {
  readonly #hash = createHash('sha256')
  readonly #blocks: number[] = []
  readonly #prefixes: string[] = []
  #crc = 0
  #size = 0

  add(chunk: Uint8Array): void {
    for (let start = 0; start < chunk.length; ) {
      const end = Math.min(chunk.length, start + BLOCK - (this.#size % BLOCK))
      this.#addPiece(chunk.subarray(start, end))
      start = end
    }
  }

  end(): Marks {
    if (this.#size % BLOCK > 0) this.#blocks.push(this.#crc)
    const inner = this.#blocks.length - 1
    return { size: this.#size, blocks: this.#blocks, prefixes: this.#prefixes.slice(0, inner) }
  }

  #addPiece(piece: Uint8Array): void {
    this.#hash.update(piece)
    this.#crc = crc32(piece, this.#crc)
    this.#size += piece.length
    if (this.#size % BLOCK > 0) return
    this.#blocks.push(this.#crc)
    this.#prefixes.push(this.#hash.copy().digest('hex'))
    this.#crc = 0
  }
}

/** Whether these are the marks of a body of `size` bytes. */
export function areMarks(marks: unknown, size: number): marks is Marks {
  if (typeof marks !== 'object' || marks === null) return false
  const { size: marked, blocks, prefixes } = marks as Partial<Marks>
  const count = Math.ceil(size / BLOCK)
  if (marked !== size || !Array.isArray(blocks) || !Array.isArray(prefixes)) return false
  return blocks.length === count && prefixes.length === count - 1
}
