import { StorageError } from '@stored/core/backend'

const MIB = 1 << 20
/** A multipart upload takes 10,000 parts; what is read again after a failure may be cut elsewhere. */
const MOST_PARTS = 9_500
/** Where the size is not known: enough for 590 GiB. All parts but the last have to be equal (R2). */
const UNKNOWN_PART_BYTES = 64 * MIB

/** How large the parts of a blob of `size` are: whole MiB, unless `partSize` is not. */
export function partSizeFor(size: number | undefined, partSize: number): number {
  if (size === undefined) return Math.max(partSize, UNKNOWN_PART_BYTES)
  return size <= partSize * MOST_PARTS ? partSize : Math.ceil(size / MOST_PARTS / MIB) * MIB
}

/** Parts that may be under way at a time beyond the one that every put has: shared by the puts of one instance. */
export class Spare {
  #left: number

  constructor(count: number) {
    this.#left = count
  }

  take(): boolean {
    if (this.#left === 0) return false
    this.#left--
    return true
  }

  give(count: number): void {
    this.#left += count
  }
}

/** The buffers of one put, used again and again. It always has one, so that no put waits for another. */
export class PartBuffers implements Disposable {
  readonly #size: number
  readonly #spare: Spare | null
  readonly #free: Buffer[] = []
  #made = 0
  #waiting: ((buffer: Buffer) => void) | undefined

  /**
   * @param spare Where more than one may come from; `null` for no more.
   * @param first The one that it always has. @default made when it is asked for
   */
  constructor(size: number, spare: Spare | null, first?: Buffer) {
    this.#size = size
    this.#spare = spare
    if (first?.byteLength !== size) return
    this.#free.push(first)
    this.#made = 1
  }

  /** A buffer, when one is free. Asked for by one at a time. */
  take(): Promise<Buffer> {
    const free = this.#free.pop()
    if (free !== undefined) return Promise.resolve(free)
    if (this.#made === 0 || this.#spare?.take()) {
      this.#made++
      return Promise.resolve(Buffer.allocUnsafeSlow(this.#size))
    }
    return new Promise((resolve) => {
      this.#waiting = resolve
    })
  }

  give(buffer: Buffer): void {
    const waiting = this.#waiting
    this.#waiting = undefined
    if (waiting) waiting(buffer)
    else this.#free.push(buffer)
  }

  [Symbol.dispose](): void {
    if (this.#made > 1) this.#spare?.give(this.#made - 1)
    this.#made = 0
  }
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
      throw new StorageError('SIZE_MISMATCH', { op: 'put' }, { detail: 'the body goes on after its size' })
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
