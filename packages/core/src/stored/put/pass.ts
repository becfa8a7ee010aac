import type { ErrorLocation } from '../../backend/error.ts'
import { wrongSize } from '../../guard/verify.ts'
import type { Hasher } from '../../ports/checksums.ts'
import type { Chunks, Source } from '../../source/source.ts'
import type { ReceiveOptions } from '../types.ts'
import { tellProgress } from './progress.ts'

/** What magic bytes need. */
const HEAD_BYTES = 4100

/** The one pass over the bytes: digests, size and the head for the MIME type. */
export class Pass {
  readonly #hasher: Hasher
  readonly #source: Source
  readonly #options: ReceiveOptions
  readonly #at: ErrorLocation
  readonly #head: Uint8Array[] = []
  #headSize = 0
  size = 0

  constructor(hasher: Hasher, source: Source, options: ReceiveOptions, at: ErrorLocation) {
    this.#hasher = hasher
    this.#source = source
    this.#options = options
    this.#at = at
  }

  /** Whether nobody else has the chunks that it gives: they are the source's to give away, or copies. */
  get isOwned(): boolean {
    return this.#source.owned === true || !this.#source.keepsStill
  }

  bytes(): Chunks {
    const { body } = this.#source
    return Symbol.iterator in body ? this.#atOnce(body) : this.#inTime(body)
  }

  *#atOnce(body: Iterable<Uint8Array>): Generator<Uint8Array, void, void> {
    for (const read of body) {
      yield this.#take(read)
      this.#tell()
    }
  }

  async *#inTime(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
    for await (const read of body) {
      yield this.#take(read)
      this.#tell()
    }
  }

  #take(read: Uint8Array): Uint8Array {
    const { owned, keepsStill } = this.#source
    const { expect } = this.#options
    // A caller may fill its buffer again as soon as it is asked for more.
    const chunk = owned || keepsStill ? read : Buffer.from(read)
    this.size += chunk.length
    // Not read any further: it may have no end.
    if (expect?.size !== undefined && this.size > expect.size)
      throw wrongSize(expect.size, `${this.size} or more`, this.#at)
    this.#hasher.update(chunk)
    if (this.#headSize < HEAD_BYTES) this.#keepHead(chunk)
    return chunk
  }

  #tell(): void {
    const { onProgress } = this.#options
    if (onProgress) tellProgress(() => onProgress({ bytes: this.size, total: this.#source.size }), this.#at)
  }

  head(): Uint8Array {
    return this.#head.length === 1 ? (this.#head[0] as Uint8Array) : Buffer.concat(this.#head)
  }

  digests() {
    return this.#hasher.digest()
  }

  #keepHead(chunk: Uint8Array): void {
    // A copy: the source may use its buffer again.
    const part = Buffer.from(chunk.subarray(0, HEAD_BYTES - this.#headSize))
    this.#head.push(part)
    this.#headSize += part.length
  }
}
