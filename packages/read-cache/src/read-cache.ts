import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { open, rm } from 'node:fs/promises'
import path from 'node:path'
import { setImmediate } from 'node:timers/promises'
import type { BlobId, CachedBlob, CacheEntry, CacheStats, EvictChoice, ReadCache } from '@stored/core'
import { checkOptions, is, mapErrno, needed, type OptionRulesOf, StorageError } from '@stored/core/backend'
import { ACCESS_MODE, type AccessMode, makeDirectory } from '@stored/core/files'
import { readBlocks } from './body.ts'
import { Calls } from './calls.ts'
import { Entries } from './entries.ts'
import { Filler } from './filler.ts'
import { areMarks, BLOCK } from './marks.ts'
import { contentPath, contentRoot, indexRoot } from './paths.ts'
import { isGone, saysNothingOfFile, survey, sweepTemporaries } from './survey.ts'

/** A larger entry would evict too much at once: the fraction of `maxSize` that one may take. */
const LARGEST_PART = 4
/**
 * How much later than its file time an entry may have been used, in milliseconds: recording every hit would write for
 * every read.
 */
const TOUCH_MS = 60 * 60 * 1000
/** Entries examined in one turn of the event loop. */
const CHOSEN_IN_A_TURN = 500

/** Options for opening a read cache. */
export interface DiskReadCacheOptions {
  /** Directory of the entries, on a local disk. It is created if missing, and processes may share it. */
  location: string
  /**
   * Who may use the directory, if it is created now. For a group, each user has a separate directory there.
   *
   * @default 0o700
   */
  mode?: AccessMode
  /** Bytes of all bodies together. A body above a quarter of it does not enter. */
  maxSize: number
  /** What goes first: the least recently read (`lru`), or the oldest (`fifo`). @default 'lru' */
  evictionPolicy?: 'lru' | 'fifo'
  /** Whether the disk has space for that many more bytes. If not, a body is not kept. @default always */
  hasRoom?: (bytes: number) => boolean
}

export const OPTIONS = {
  location: needed({
    ...is.text,
    doc: 'Directory of the entries, on a local disk. It is created if missing, and processes may share it.',
  }),
  mode: {
    ...ACCESS_MODE,
    doc: 'Who may use the directory, if it is created now. For a group, each user has a separate directory there.',
  },
  maxSize: needed({
    ...is.whole(1, undefined, 'of bytes'),
    doc: 'Bytes of all bodies together. A body above a quarter of it does not enter.',
  }),
  evictionPolicy: {
    ...is.oneOf(['lru', 'fifo']),
    default: 'lru',
    doc: 'What goes first: the least recently read (`lru`), or the oldest (`fifo`).',
  },
  hasRoom: {
    ...is.callback,
    default: () => true,
    otherwise: 'always',
    doc: 'Whether the disk has space for that many more bytes. If not, a body is not kept.',
  },
} as const satisfies OptionRulesOf<DiskReadCacheOptions>

interface Wanted {
  readonly signal: AbortSignal
  readonly offset?: number
  readonly length?: number
}

/**
 * Bodies that can be fetched again, in a directory that is a cacache. Nothing is flushed; anything lost or damaged is a
 * miss.
 *
 * The entries are counted before anything is evicted, by a background walk after the first fill of a process, and kept
 * in memory: at most 250,000 entries, about 35 MB, and twice that while counting. The order of use is kept in the times
 * of the files, to the hour. A process does not know what others fill after it has counted: together they may exceed
 * `maxSize` until one of them opens the cache again. Bodies being written come on top, in each process up to `maxSize`
 * again.
 */
export class DiskReadCache implements ReadCache {
  readonly #options: Required<DiskReadCacheOptions>
  readonly #root: string
  readonly #calls: Calls
  readonly #entries: Entries
  readonly #filler: Filler
  readonly #closing = new AbortController()
  readonly #warned = new Set<string>()
  #counted: Promise<void> | undefined
  #trimming: Promise<void> | undefined
  #hits = 0
  #misses = 0
  #bytes = 0

  /** @throws {StorageError} INVALID_ARGUMENT · PERMISSION_DENIED, NO_SPACE …: the directory. */
  static async open(options: DiskReadCacheOptions): Promise<DiskReadCache> {
    const at = { op: 'open' }
    const checked = checkOptions(options as Required<DiskReadCacheOptions>, OPTIONS, at)
    try {
      const location = await makeLocation(checked)
      return new DiskReadCache({ ...checked, location }, await Calls.for(location))
    } catch (error) {
      throw mapErrno(error, at)
    }
  }

  private constructor(options: Required<DiskReadCacheOptions>, calls: Calls) {
    const { location, maxSize } = options
    this.#options = options
    this.#root = contentRoot(location)
    this.#calls = calls
    this.#entries = new Entries(maxSize)
    this.#filler = new Filler({
      location,
      maxSize,
      onFilled: (id, size) => {
        this.#entries.add(id, size)
        void this.#keepWithin()
      },
      onFailed: (error) => this.#warn(error),
    })
  }

  async open(id: BlobId, wanted: Wanted): Promise<CachedBlob | null> {
    let opened: CachedBlob | null = null
    try {
      opened = await this.#open(id, wanted)
    } catch (error) {
      await this.#forget(id, error)
    }
    if (wanted.signal.aborted) {
      await opened?.[Symbol.asyncDispose]()
      throw wanted.signal.reason
    }
    if (opened) this.#hits++
    else this.#misses++
    return opened
  }

  fill(id: BlobId, body: AsyncIterable<Uint8Array>, size: number): AsyncIterable<Uint8Array> {
    const isWanted = size > 0 && size <= this.#largest && !this.#entries.has(id) && !this.#filler.isFilling(id)
    const isPossible = !this.#closing.signal.aborted && this.#options.hasRoom(size)
    return isWanted && isPossible ? this.#filler.tee(id, body, size) : body
  }

  async drop(id: BlobId): Promise<void> {
    await this.#filler.settled()
    await this.#remove(id)
  }

  async stats(): Promise<CacheStats> {
    await this.#settle()
    const { count, size } = this.#entries
    const { maxSize } = this.#options
    return { entries: count, size, maxSize, hits: this.#hits, misses: this.#misses, bytes: this.#bytes }
  }

  async evict(which: EvictChoice): Promise<{ entries: number; bytes: number }> {
    const evicted = { entries: 0, bytes: 0 }
    for await (const { id, size } of this.#chosen(which)) {
      await this.#remove(id)
      evicted.entries++
      evicted.bytes += size
    }
    return evicted
  }

  async evictable(which: EvictChoice): Promise<CacheEntry[]> {
    return Array.fromAsync(this.#chosen(which))
  }

  async clear(): Promise<void> {
    await this.#settle()
    try {
      // Others may be adding to what is being removed.
      const options = { recursive: true, force: true, maxRetries: 5 }
      for (const directory of [path.dirname(this.#root), indexRoot(this.#options.location)])
        await rm(directory, options)
      this.#entries.clear()
    } catch (error) {
      throw mapErrno(error, { op: 'clear' })
    }
  }

  async close(): Promise<void> {
    await this.#filler.settled()
    // Includes what this process filled: otherwise many short-lived processes would fill the disk.
    await this.#trimming
    this.#closing.abort()
    await this.#counted
  }

  get #largest(): number {
    return this.#options.maxSize / LARGEST_PART
  }

  async #open(id: BlobId, { offset = 0, length, signal }: Wanted): Promise<CachedBlob | null> {
    const file = contentPath(this.#root, id)
    const { size, bytes } = await this.#read(file)
    const end = Math.min(size, offset + (length ?? size))
    const range = offset > 0 || end < size ? { offset, end } : undefined
    if (!bytes) return this.#openLarge(id, file, size, range, signal)
    if (range && sha256(bytes) !== id) throw damaged()
    const part = range ? bytes.subarray(offset, end) : bytes
    this.#bytes += part.length
    this.#noteUse(id, size)
    return { size, body: once(part), [Symbol.asyncDispose]: nothingToFree }
  }

  /** A file's size, and its bytes if they are one block. */
  async #read(file: string): Promise<{ size: number; bytes: Buffer | undefined }> {
    const fd = await this.#calls.open(file)
    try {
      const stat = await this.#calls.fstat(fd)
      if (!stat.isFile()) throw damaged()
      const { size } = stat
      const now = Date.now()
      if (this.#options.evictionPolicy === 'lru' && now - stat.mtimeMs > TOUCH_MS)
        await this.#calls.touch(fd, new Date(now)).catch((error) => this.#warn(error))
      if (size > BLOCK) return { size, bytes: undefined }
      const bytes = Buffer.allocUnsafeSlow(size)
      for (let filled = 0; filled < size; ) {
        const count = await this.#calls.read(fd, bytes, filled)
        if (count === 0) throw damaged()
        filled += count
      }
      return { size, bytes }
    } finally {
      // A file opened for reading has nothing to write back: this does not block.
      fs.closeSync(fd)
    }
  }

  async #openLarge(
    id: BlobId,
    file: string,
    size: number,
    range: { offset: number; end: number } | undefined,
    signal: AbortSignal,
  ): Promise<CachedBlob> {
    const { default: cacache } = await import('cacache')
    const marks = (await cacache.get.info(this.#options.location, id))?.metadata
    if (!areMarks(marks, size)) throw damaged()
    const handle = await open(file)
    this.#noteUse(id, size)
    const onDelivered = (bytes: number) => {
      this.#bytes += bytes
    }
    return {
      size,
      body: readBlocks(handle, { range, marks, signal, onDelivered }),
      prefixes: { every: BLOCK, digests: marks.prefixes },
      [Symbol.asyncDispose]: () => handle.close(),
    }
  }

  async *#chosen(which: EvictChoice): AsyncGenerator<CacheEntry, void, void> {
    await this.#settle()
    let looked = 0
    for (const id of which === 'oldest' ? this.#oldest() : this.#entries.ids()) {
      // A choice may be synchronous, as one by keys is, and there may be a quarter of a million entries, so yield.
      if (++looked % CHOSEN_IN_A_TURN === 0) await setImmediate()
      const size = this.#entries.sizeOf(id)
      if (which === 'oversized' && size <= this.#largest) continue
      if (typeof which !== 'function' || (await which(id))) yield { id, size }
    }
  }

  #noteUse(id: BlobId, size: number): void {
    if (this.#options.evictionPolicy === 'lru') this.#entries.renew(id, size)
  }

  /** After a read that found nothing, or nothing reliable. */
  async #forget(id: BlobId, error: unknown): Promise<void> {
    if (isGone(error)) return void this.#entries.remove(id)
    if (!StorageError.is(error)) this.#warn(error)
    if (!saysNothingOfFile(error)) await this.#remove(id)
  }

  async #remove(id: BlobId): Promise<void> {
    this.#entries.remove(id)
    try {
      await rm(contentPath(this.#root, id), { recursive: true, force: true })
      const { default: cacache } = await import('cacache')
      await cacache.rm.entry(this.#options.location, id, { removeFully: true })
    } catch (error) {
      if (!isGone(error)) this.#warn(error)
    }
  }

  #oldest(): BlobId[] {
    const id = this.#entries.oldest()
    return id === undefined ? [] : [id]
  }

  /** Waits until bodies that have ended are stored and accounted for. */
  async #settle(): Promise<void> {
    await this.#filler.settled()
    await this.#keepWithin()
  }

  #keepWithin(): Promise<void> {
    this.#trimming ??= this.#trim().finally(() => {
      this.#trimming = undefined
    })
    return this.#trimming
  }

  async #trim(): Promise<void> {
    this.#counted ??= this.#count()
    await this.#counted
    while (this.#entries.isOver && !this.#closing.signal.aborted)
      for (const id of this.#oldest()) await this.#remove(id)
  }

  async #count(): Promise<void> {
    try {
      const { location } = this.#options
      await sweepTemporaries(location).catch((error) => this.#warn(error))
      this.#entries.addBefore(await survey(location, this.#closing.signal))
    } catch (error) {
      if (this.#closing.signal.aborted) return
      this.#counted = undefined
      this.#warn(error)
    }
  }

  /** A failing cache only costs time, so each kind of failure is reported once. */
  #warn(error: unknown): void {
    const kind = (error as NodeJS.ErrnoException).code ?? String(error)
    if (this.#warned.has(kind)) return
    this.#warned.add(kind)
    process.emitWarning(error instanceof Error ? error : String(error), { code: 'STORED_CACHE' })
  }
}

/** @returns Where the entries go. cacache creates files with the umask, so other users could not add to them. */
async function makeLocation(options: Required<DiskReadCacheOptions>): Promise<string> {
  const { mode } = options
  const location = path.resolve(options.location)
  await makeDirectory(location, { op: 'open' }, mode)
  if (mode === 0o700 || !process.getuid) return location
  const own = path.join(location, `user-${process.getuid()}`)
  await makeDirectory(own, { op: 'open' })
  return own
}

function sha256(bytes: Uint8Array): BlobId {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

function damaged(): StorageError {
  return new StorageError('CORRUPT', { op: 'get' }, { detail: 'an entry of the read cache is damaged' })
}

async function nothingToFree(): Promise<void> {}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes
}
