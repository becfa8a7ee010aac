import { createHash } from 'node:crypto'
import type { BlobId, CachedBlob, CacheEntry, CacheStats, EvictChoice, ReadCache } from '@stored/core'
import { StorageError } from '@stored/core/backend'

/** A read cache without a disk. What was there first goes first. */
export class MemoryReadCache implements ReadCache {
  readonly #maxSize: number
  readonly #entries = new Map<BlobId, Buffer>()

  constructor(maxSize: number) {
    this.#maxSize = maxSize
  }

  async open(id: BlobId, { offset = 0, length }: { offset?: number; length?: number }): Promise<CachedBlob | null> {
    const bytes = this.#entries.get(id)
    if (!bytes) return null
    const end = Math.min(bytes.length, offset + (length ?? bytes.length))
    const isWhole = offset === 0 && end === bytes.length
    const body = isWhole ? once(bytes) : partOf(bytes, id, offset, end)
    return { size: bytes.length, body, [Symbol.asyncDispose]: async () => {} }
  }

  async *fill(id: BlobId, body: AsyncIterable<Uint8Array>, size: number): AsyncGenerator<Uint8Array, void, void> {
    const chunks: Buffer[] = []
    for await (const chunk of body) {
      chunks.push(Buffer.from(chunk))
      yield chunk
    }
    if (size === 0 || size > this.#maxSize / 4) return
    this.#entries.set(id, Buffer.concat(chunks))
    while (this.#size > this.#maxSize) this.#removeOldest()
  }

  async drop(id: BlobId): Promise<void> {
    this.#entries.delete(id)
  }

  async stats(): Promise<CacheStats> {
    const { size: entries } = this.#entries
    return { entries, size: this.#size, maxSize: this.#maxSize, hits: 0, misses: 0, bytes: 0 }
  }

  async evict(which: EvictChoice): Promise<{ entries: number; bytes: number }> {
    const evicted = await this.evictable(which)
    for (const { id } of evicted) this.#entries.delete(id)
    return { entries: evicted.length, bytes: evicted.reduce((sum, { size }) => sum + size, 0) }
  }

  async evictable(which: EvictChoice): Promise<CacheEntry[]> {
    const chosen: CacheEntry[] = []
    for (const [i, [id, { length: size }]] of [...this.#entries].entries()) {
      const isMeant = typeof which === 'function' ? await which(id) : which === 'oldest' && i === 0
      if (isMeant) chosen.push({ id, size })
    }
    return chosen
  }

  async clear(): Promise<void> {
    this.#entries.clear()
  }

  async close(): Promise<void> {}

  /** Flips a bit of every entry. */
  damage(): void {
    for (const [id, bytes] of this.#entries) {
      const damaged = Buffer.from(bytes)
      damaged.writeUInt8(damaged.readUInt8(0) ^ 1)
      this.#entries.set(id, damaged)
    }
  }

  get #size(): number {
    return [...this.#entries.values()].reduce((sum, { length }) => sum + length, 0)
  }

  #removeOldest(): void {
    const [oldest] = this.#entries.keys()
    if (oldest) this.#entries.delete(oldest)
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, void> {
  yield bytes
}

async function* partOf(bytes: Buffer, id: BlobId, offset: number, end: number): AsyncGenerator<Uint8Array, void, void> {
  if (`sha256:${createHash('sha256').update(bytes).digest('hex')}` !== id)
    throw new StorageError('CORRUPT', { op: 'get', key: id })
  yield bytes.subarray(offset, end)
}
