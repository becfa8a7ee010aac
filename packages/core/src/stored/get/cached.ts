import { createHash, type Hash } from 'node:crypto'
import { type ErrorLocation, StorageError } from '../../backend/error.ts'
import type { BlobFacts, BlobId } from '../../model/blob.ts'
import type { CachedBlob, ReadCache } from '../../ports/read-cache.ts'
import type { Opened } from '../../ports/staging.ts'
import { hexOf } from '../lookup/names.ts'
import type { Copy, Range } from './copy.ts'

/** A read through a cache. */
export interface Through {
  readonly cache: ReadCache
  readonly signal: AbortSignal
}

/**
 * Opens a whole blob that the cache holds. Damage is found before it is delivered: the entry then goes, and the read goes on with
 * what `refetch` opens.
 */
export async function openCached(
  { cache, signal }: Through,
  id: BlobId,
  refetch: () => Promise<Opened>,
): Promise<Opened | null> {
  const cached = await cache.open(id, { signal })
  return cached && whole(cached, id, { signal, cache }, refetch)
}

/** `copy`, of which whole blobs are kept in the cache in passing. */
export function keptFrom(copy: Copy, cache: ReadCache, { id, size }: BlobFacts): Copy {
  return {
    name: copy.name,
    async open(range) {
      const opened = await copy.open(range)
      return range ? opened : { ...opened, body: cache.fill(id, opened.body, size) }
    },
  }
}

/** `copy`, in place of which the cache delivers what it holds. */
export function cachedBefore(copy: Copy, through: Through, { id, size }: BlobFacts): Copy {
  const { cache, signal } = through
  return {
    name: copy.name,
    async open(range) {
      // All of it is verified, also where it was asked for as a range: a cache checks nothing but parts.
      const partial = range && range.length < size ? range : undefined
      const cached = await cache.open(id, { signal, ...partial })
      if (cached?.size === size)
        return partial
          ? part(cached, id, partial, through, (rest) => copy.open(rest))
          : whole(cached, id, through, () => copy.open(undefined))
      if (cached) {
        await cached[Symbol.asyncDispose]()
        await cache.drop(id)
      }
      return copy.open(range)
    },
  }
}

function whole(cached: CachedBlob, id: BlobId, through: Through, refetch: () => Promise<Opened>): Opened {
  const replace = () => replaceWith(refetch, id, through)
  const body = wholeOf(cached, hexOf(id), replace, { op: 'get', key: id })
  return { size: cached.size, body, [Symbol.asyncDispose]: () => cached[Symbol.asyncDispose]() }
}

function part(
  cached: CachedBlob,
  id: BlobId,
  range: Range,
  through: Through,
  refetch: (rest: Range) => Promise<Opened>,
): Opened {
  const body = partOf(cached, range, (rest) => replaceWith(() => refetch(rest), id, through))
  return { size: cached.size, body, [Symbol.asyncDispose]: () => cached[Symbol.asyncDispose]() }
}

async function replaceWith(refetch: () => Promise<Opened>, id: BlobId, { cache, signal }: Through): Promise<Opened> {
  // An abort says nothing about the entry.
  signal.throwIfAborted()
  await cache.drop(id)
  return refetch()
}

/** Of a part the cache itself says whether it is damaged. */
async function* partOf(
  cached: CachedBlob,
  { offset, length }: Range,
  replace: (rest: Range) => Promise<Opened>,
): AsyncGenerator<Uint8Array, void, void> {
  let delivered = 0
  try {
    for await (const chunk of cached.body) {
      yield chunk
      delivered += chunk.length
    }
  } catch {
    // Told by the cache; the copy it came from still has the bytes.
  }
  if (delivered === length) return
  await using opened = await replace({ offset: offset + delivered, length: length - delivered })
  yield* opened.body
}

async function* wholeOf(
  cached: CachedBlob,
  sha256: string,
  replace: () => Promise<Opened>,
  at: ErrorLocation,
): AsyncGenerator<Uint8Array, void, void> {
  const prefixes = new Prefixes(cached, sha256)
  const hash = createHash('sha256')
  let delivered = 0
  try {
    for await (const chunk of cached.body) {
      hash.update(chunk)
      if (!prefixes.isRight(hash, delivered + chunk.length)) break
      yield chunk
      delivered += chunk.length
    }
  } catch {
    // As with a part.
  }
  // Nothing delivered is nothing verified.
  if (delivered > 0 && delivered === cached.size) return
  await using opened = await replace()
  yield* after(opened.body, delivered, prefixes.at(delivered), at)
}

/** What the first bytes of a blob are known to hash to. */
class Prefixes {
  readonly #cached: CachedBlob
  readonly #sha256: string

  constructor(cached: CachedBlob, sha256: string) {
    this.#cached = cached
    this.#sha256 = sha256
  }

  /** In hex; `undefined` where nothing is known. */
  at(position: number): string | undefined {
    const { size, prefixes } = this.#cached
    if (position === size) return this.#sha256
    if (!prefixes || position % prefixes.every > 0) return undefined
    return prefixes.digests[position / prefixes.every - 1]
  }

  isRight(hash: Hash, position: number): boolean {
    if (position > this.#cached.size) return false
    const expected = this.at(position)
    if (expected === undefined) return true
    return (position === this.#cached.size ? hash : hash.copy()).digest('hex') === expected
  }
}

/** `body` without its first bytes, which were delivered already and must be the same. */
async function* after(
  body: AsyncIterable<Uint8Array>,
  delivered: number,
  sha256: string | undefined,
  at: ErrorLocation,
): AsyncGenerator<Uint8Array, void, void> {
  const hash = createHash('sha256')
  let left = delivered
  for await (const chunk of body) {
    const skipped = Math.min(left, chunk.length)
    if (skipped > 0) {
      hash.update(chunk.subarray(0, skipped))
      left -= skipped
      if (left === 0 && hash.digest('hex') !== sha256)
        throw new StorageError('CHECKSUM_MISMATCH', at, { detail: 'the read cache delivered other bytes' })
    }
    if (skipped < chunk.length) yield chunk.subarray(skipped)
  }
}
