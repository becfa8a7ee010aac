import { StorageError } from '@stored/core/backend'

const MIB = 1 << 20
/** A multipart upload takes 10,000 parts; what is read again after a failure may be cut elsewhere. */
const MOST_PARTS = 9_500
/** Where the size is not known: enough for 590 GiB. All parts but the last have to be equal (R2). */
export const UNKNOWN_PART_BYTES = 64 * MIB

/** How large the parts of a blob of `size` are: whole MiB, unless `partSize` is not. */
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
   * Fills `buffer` from `filled` on.
   *
   * @returns Up to where; less than its length only at the end, when the body has said that this is its end.
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

  /** Reads on to the end. @throws {StorageError} SIZE_MISMATCH when there is more. */
  async end(): Promise<void> {
    while (this.#rest.byteLength === 0 && (await this.#pull()));
    if (this.#rest.byteLength > 0)
      throw new StorageError('SIZE_MISMATCH', { op: 'put' }, { detail: 'the body is longer than its size' })
  }

  /** Tells the body that no more is wanted of it. */
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
