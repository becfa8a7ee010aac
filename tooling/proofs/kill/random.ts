import { createCipheriv, hash } from 'node:crypto'

/** Numbers and bytes that are the same for the same seed: the key stream of AES in counter mode. */
export class Random {
  readonly #cipher: ReturnType<typeof createCipheriv>

  constructor(seed: string) {
    this.#cipher = createCipheriv('aes-128-ctr', hash('sha256', seed, 'buffer').subarray(0, 16), Buffer.alloc(16))
  }

  bytes(length: number): Buffer {
    return this.#cipher.update(Buffer.alloc(length))
  }

  /** A whole number from 0 up to `end`, exclusive. */
  below(end: number): number {
    return this.bytes(4).readUInt32LE() % end
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T
  }
}
