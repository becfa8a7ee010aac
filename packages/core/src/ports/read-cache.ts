import type { Op } from '../backend/contract.ts'
import type { BlobId } from '../model/blob.ts'
import type { Opened } from './staging.ts'

/** What a read cache holds, and what it was good for since it was opened. */
export interface CacheStats {
  readonly entries: number
  /** Of their bodies together, in bytes. */
  readonly size: number
  readonly maxSize: number
  readonly hits: number
  readonly misses: number
  /** Delivered from the cache. */
  readonly bytes: number
}

/** What lies in a read cache; it may be damaged. */
export interface CachedBlob extends Opened {
  /** SHA-256, in hex, of the first `every` bytes, of twice as many and so on: damage is found before it is delivered. */
  readonly prefixes?: { readonly every: number; readonly digests: readonly string[] }
}

/** `oldest`: the one that would go first. `oversized`: those that would not enter any more. */
export type EvictChoice = 'oldest' | 'oversized' | ((id: BlobId) => boolean | Promise<boolean>)

/** A body in the read cache. */
export interface CacheEntry {
  readonly id: BlobId
  /** In bytes. */
  readonly size: number
}

/**
 * Bytes that can be fetched again. It may forget anything at any time, and no failure of it is one of the read it serves: what it
 * cannot do is a miss, or not kept.
 */
export interface ReadCache {
  /**
   * @returns `null` when it is not there. The body of a whole blob is for the caller to verify; that of a range throws before it
   *   delivers damaged bytes.
   */
  open(id: BlobId, o: Op & { offset?: number; length?: number }): Promise<CachedBlob | null>
  /**
   * The chunks of `body`, which is kept when it comes to its end; it must be verified by then.
   * Writing never makes the reader wait: what cannot keep up is given up.
   */
  fill(id: BlobId, body: AsyncIterable<Uint8Array>, size: number): AsyncIterable<Uint8Array>
  drop(id: BlobId): Promise<void>
  stats(): Promise<CacheStats>
  evict(which: EvictChoice): Promise<{ entries: number; bytes: number }>
  /** What `evict` would remove now. */
  evictable(which: EvictChoice): Promise<CacheEntry[]>
  clear(): Promise<void>
  close(): Promise<void>
}
