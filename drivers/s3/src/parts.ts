import { StorageError } from '@stored/core/backend'

const MIB = 1 << 20
/** A multipart upload takes 10,000 parts; a body read again after a failure may be cut differently. */
const MOST_PARTS = 9_500
/** If the size is unknown: enough for 590 GiB. All parts except the last must be equal (R2). */
export const UNKNOWN_PART_BYTES = 64 * MIB

/** The part size for a blob of `size` bytes: whole MiB, unless `partSize` is not. */
export function partSizeFor(size: number | undefined, partSize: number): number {
  if (size === undefined) return Math.max(partSize, UNKNOWN_PART_BYTES)
  return size <= partSize * MOST_PARTS ? partSize : Math.ceil(size / MOST_PARTS / MIB) * MIB
}

/** Reads a body into buffers, front to back. */
export class PartReader {
  readonly #chunks: AsyncIterator<Uint8Array>
  #rest: Uint8Array = new Uint8Array()
  #ended = false

  constructor(body: AsyncIterable<Uint8Array>) {
    this.#chunks = body[Symbol.asyncIterator]()
  }

  /**
   * Fills `buffer` starting at `filled`.
   *
   * @returns The end of the filled part; less than the buffer's length only after the body has ended.
   */
  async fill(buffer: Uint8Array, filled = 0): Promise<number> {
    let at = filled
    while (at < buffer.byteLength) {
      if (this.#rest.byteLength === 0 && !(await this.#pull())) break
      const piece = this.#rest.subarray(0, buffer.byteLength - at)
      buffer.set(piece, at)
      at += piece.byteLength
      this.#rest = this.#rest.subarray(piece.byteLength)
    }
    return at
  }

  /** Reads to the end. @throws {StorageError} SIZE_MISMATCH if there is more. */
  async end(): Promise<void> {
    while (this.#rest.byteLength === 0 && (await this.#pull()));
    if (this.#rest.byteLength > 0)
      throw new StorageError('SIZE_MISMATCH', { op: 'put' }, { detail: 'the body is longer than its size' })
  }

  /** Tells the body that no more is needed. */
  async release(): Promise<void> {
    if (!this.#ended) await this.#chunks.return?.()
  }

  async #pull(): Promise<boolean> {
    if (this.#ended) return false
    const { done, value } = await this.#chunks.next()
    this.#ended = done === true
    if (!this.#ended) this.#rest = value as Uint8Array
    return !this.#ended
  }
}
