import { createHash, type Hash } from 'node:crypto'
import { type ErrorLocation, StorageError } from '../backend/error.ts'
import type { Chunks } from '../source/source.ts'

/** What a body should be. */
export interface Expected {
  /** In bytes. */
  readonly size?: number | undefined
  /** Hex. */
  readonly sha256?: string | undefined
  /** Maximum size, in bytes. */
  readonly maxSize?: number | undefined
}

/** Checksums that both node:crypto and backends support. */
export type Digest = 'sha256' | 'sha1' | 'md5'

/** Counts and hashes the bytes of one body. */
export class Meter {
  /** Bytes so far. */
  size = 0
  /** In hex; set once the body has ended and matches what was expected. */
  digests: Partial<Record<Digest, string>> | undefined
  readonly #hashes: readonly (readonly [Digest, Hash])[]
  readonly #onPassed: ((totalBytes: number) => void) | undefined

  /** @param onPassed Called after each chunk has been consumed. */
  constructor(algorithms: readonly Digest[], onPassed?: (totalBytes: number) => void) {
    this.#hashes = algorithms.map((name) => [name, createHash(name)])
    this.#onPassed = onPassed
  }

  /**
   * The chunks of `body`. If they are not what was expected it throws, and a consumer that knows the size has not
   * received all of it: the chunk that completes the body is held back until its end is certain. Only that chunk is
   * held, since a source may reuse its buffer once asked for more.
   *
   * @throws {StorageError} SIZE_MISMATCH · TOO_LARGE · CHECKSUM_MISMATCH · what `body` throws.
   */
  async *pass(body: Chunks, expected: Expected, at: ErrorLocation): AsyncGenerator<Uint8Array, void, void> {
    const { size, maxSize = Number.POSITIVE_INFINITY } = expected
    let held: Uint8Array | undefined
    for await (const chunk of body) {
      if (chunk.byteLength === 0) continue
      this.size += chunk.byteLength
      if (size !== undefined && this.size > size) throw wrongSize(size, `${this.size} or more`, at)
      if (this.size > maxSize) throw new StorageError('TOO_LARGE', at, { detail: `more than ${maxSize} bytes` })
      for (const [, hash] of this.#hashes) hash.update(chunk)
      if (this.size === size) {
        held = chunk
        continue
      }
      yield chunk
      this.#onPassed?.(this.size)
    }
    if (size !== undefined && this.size < size) throw wrongSize(size, `only ${this.size}`, at)
    const digests = Object.fromEntries(this.#hashes.map(([name, hash]) => [name, hash.digest('hex')]))
    checkDigest(expected.sha256, digests.sha256, at)
    this.digests = digests
    if (held === undefined) return
    yield held
    this.#onPassed?.(this.size)
  }
}

/** The bytes of a whole blob; the last chunk is yielded only if size and digest are right. */
export function verified(
  body: AsyncIterable<Uint8Array>,
  expected: { readonly size: number; readonly sha256: string },
  at: ErrorLocation,
): AsyncGenerator<Uint8Array, void, void> {
  return new Meter(['sha256']).pass(body, expected, at)
}

/** @throws {StorageError} CHECKSUM_MISMATCH if both are known and differ. */
export function checkDigest(
  expected: string | undefined,
  actual: string | undefined,
  at: ErrorLocation,
  ambiguous = false,
): void {
  if (expected === undefined || actual === undefined || expected === actual) return
  throw new StorageError('CHECKSUM_MISMATCH', at, { detail: `expected ${expected}, got ${actual}`, ambiguous })
}

export function wrongSize(
  expected: number,
  actual: string | number,
  at: ErrorLocation,
  ambiguous = false,
): StorageError {
  return new StorageError('SIZE_MISMATCH', at, { detail: `expected ${expected} bytes, got ${actual}`, ambiguous })
}
