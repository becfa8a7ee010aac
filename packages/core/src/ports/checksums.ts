import type { Algorithm, Digests } from '../model/blob.ts'

/** One pass over the bytes, for any number of algorithms. */
export interface Hasher {
  update(chunk: Uint8Array): void
  /** Ends the pass. */
  digest(): Digests
}

/** Computes checksums. SHA-256 is always among them. */
export interface Checksums {
  /** @returns A promise if the library of an algorithm has to be loaded first. */
  hasher(algorithms: readonly Algorithm[]): Hasher | Promise<Hasher>
}

/** The MIME type of a blob by its first bytes, else by the extension of its key, else of its path. */
export type MimeTypeOf = (head: Uint8Array, names: { key?: string | undefined; path?: string | undefined }) => string
