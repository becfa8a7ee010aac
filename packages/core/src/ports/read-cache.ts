import type { Op } from '../backend/contract.ts'
import type { BlobId } from '../model/blob.ts'
import type { Opened } from './staging.ts'

/** What a read cache holds, and how it has served since it was opened. */
export interface CacheStats {
  readonly entries: number
  /** Bytes of all bodies together. */
  readonly size: number
  readonly maxSize: number
  readonly hits: number
  readonly misses: number
  /** Bytes delivered from the cache. */
  readonly bytes: number
}

/** A body in a read cache. It may be damaged. */
export interface CachedBlob extends Opened {
  /** SHA-256 in hex of the first `every` bytes, of twice as many, and so on, so that damage is found before it is delivered. */
  readonly prefixes?: { readonly every: number; readonly digests: readonly string[] }
}

/** `oldest`: the entry that would go first. `oversized`: entries that would no longer enter. */
export type EvictChoice = 'oldest' | 'oversized' | ((id: BlobId) => boolean | Promise<boolean>)

/** A body in the read cache. */
export interface CacheEntry {
  readonly id: BlobId
  /** In bytes. */
  readonly size: number
}

/**
 * Bytes that can be fetched again. The cache may forget anything at any time. A cache failure never fails a read: it counts as a
 * miss, or the body is not cached.
 */
export interface ReadCache {
  /**
   * @returns `null` if it is not there. The caller must verify the body of a whole blob; the body of a range throws before it
   *   delivers damaged bytes.
   */
  open(id: BlobId, o: Op & { offset?: number; length?: number }): Promise<CachedBlob | null>
  /**
   * Yields the chunks of `body`, and keeps the body if it comes to its end, by when it must be verified. Writing never makes the
   * reader wait: a fill that cannot keep up is given up.
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
