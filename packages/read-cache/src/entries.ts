import type { BlobId } from '@stored/core'

/** Beyond this the oldest are forgotten, which limits the memory for accounting to about 35 MB. */
export const MAX_ENTRIES = 250_000

/** The known contents of a cache, in the order of eviction. */
export class Entries {
  /** In bytes. */
  size = 0
  readonly #maxSize: number
  readonly #maxEntries: number
  #sizes = new Map<BlobId, number>()

  /** @param maxSize In bytes. */
  constructor(maxSize: number, maxEntries = MAX_ENTRIES) {
    this.#maxSize = maxSize
    this.#maxEntries = maxEntries
  }

  get count(): number {
    return this.#sizes.size
  }

  get isOver(): boolean {
    return this.size > this.#maxSize || this.count > this.#maxEntries
  }

  /** Adds an entry at the end of the eviction order; a known one keeps its position. */
  add(id: BlobId, size: number): void {
    this.size += size - (this.#sizes.get(id) ?? 0)
    this.#sizes.set(id, size)
  }

  /** Moves an entry to the end of the eviction order. */
  renew(id: BlobId, size: number): void {
    this.remove(id)
    this.add(id, size)
  }

  /** Inserts entries older than all known ones, the oldest first. */
  addBefore(older: Iterable<readonly [BlobId, number]>): void {
    const newer = this.#sizes
    this.#sizes = new Map()
    this.size = 0
    for (const [id, size] of older) if (!newer.has(id)) this.add(id, size)
    for (const [id, size] of newer) this.add(id, size)
  }

  /** @returns Whether it was known. */
  remove(id: BlobId): boolean {
    this.size -= this.#sizes.get(id) ?? 0
    return this.#sizes.delete(id)
  }

  clear(): void {
    this.#sizes.clear()
    this.size = 0
  }

  sizeOf(id: BlobId): number {
    return this.#sizes.get(id) ?? 0
  }

  has(id: BlobId): boolean {
    return this.#sizes.has(id)
  }

  oldest(): BlobId | undefined {
    return this.#sizes.keys().next().value
  }

  /** A snapshot. */
  ids(): BlobId[] {
    return [...this.#sizes.keys()]
  }
}
