import type { Algorithm, Digests } from '../model/blob.ts'

/** One pass over the bytes, for any number of algorithms. */
export interface Hasher {
  update(chunk: Uint8Array): void
  /** Ends the pass. */
  digest(): Digests
}

/** Computes checksums. */
export interface Checksums {
  /** SHA-256 is always among what it computes. */
  hasher(algorithms: readonly Algorithm[]): Hasher
}

/** The MIME type of a blob by its first bytes, else by the extension of its key, else of its path. */
export type MimeTypeOf = (head: Uint8Array, names: { key?: string | undefined; path?: string | undefined }) => string
