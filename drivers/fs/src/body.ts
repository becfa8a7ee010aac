import fs from 'node:fs'
import { type ErrorLocation, type GetOptions, type GetResult, StorageError } from '@stored/core/backend'
import { errnoError, toFsError } from './errors.ts'
import { io } from './io.ts'
import type { Pace } from './pace.ts'
import type { Root } from './root.ts'
import { toStat } from './stat.ts'

const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = fs.constants
/** Blobs up to this size in bytes are read at once, and no file stays open. */
const SMALL_BYTES = 64 * 1024

/** In bytes. */
const CHUNK_BYTES = 1024 * 1024

/**
 * Opens the blob of `key` at `path`.
 *
 * @throws ENOENT, ENOTDIR, ELOOP or ENXIO if no blob is there.
 */
export async function openBlob(
  root: Root,
  path: string,
  key: string,
  { offset = 0, length = Number.POSITIVE_INFINITY }: GetOptions,
  signals: readonly AbortSignal[],
  at: ErrorLocation,
): Promise<GetResult> {
  // O_NONBLOCK, because it may be a pipe.
  const fd = await io.open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, undefined, root.pace)
  let body: FileBody | undefined
  try {
    // The kernel answers for an open file from memory, which costs less than a thread.
    const found = fs.fstatSync(fd, { bigint: true })
    if (!found.isFile()) throw errnoError('ENOENT', path)
    const stat = toStat(key, found)
    if (offset > 0 && offset >= stat.size) throw new StorageError('RANGE_NOT_SATISFIABLE', at)
    const end = Math.min(stat.size, offset + length)
    await root.checkPlace(fd, path)
    if (end - offset <= SMALL_BYTES)
      return { stat, body: bodyOf(await readExactly(fd, offset, end - offset, at, root.pace)) }
    body = new FileBody(fd, offset, end, signals, at)
    return { stat, body }
  } finally {
    // A file opened for reading has nothing to write back: this does not block.
    if (body === undefined) fs.closeSync(fd)
  }
}

/**
 * The bytes from `position` to `end` of an open file. Closes the file at the end, on a failure, when the iteration is
 * left, and when a signal aborts, even if nothing is reading.
 */
class FileBody implements AsyncIterableIterator<Uint8Array, void> {
  readonly #fd: number
  readonly #end: number
  /** The signals of the caller and of the backend. */
  readonly #signals: readonly AbortSignal[]
  readonly #at: ErrorLocation
  readonly #onAbort = () => void this.#release()
  #position: number
  /** Reads run one after the other, and the file is closed after the last. */
  #last: Promise<unknown> = Promise.resolve()
  #released = false

  constructor(fd: number, position: number, end: number, signals: readonly AbortSignal[], at: ErrorLocation) {
    this.#fd = fd
    this.#position = position
    this.#end = end
    this.#signals = signals
    this.#at = at
    for (const signal of signals) signal.addEventListener('abort', this.#onAbort)
    if (signals.some((signal) => signal.aborted)) void this.#release()
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<Uint8Array, void>> {
    const step = this.#last.then(() => this.#read())
    // The caller of next() gets the error; this only waits.
    this.#last = step.catch(() => {})
    return step
  }

  async return(): Promise<IteratorResult<Uint8Array, void>> {
    await this.#release()
    return { done: true, value: undefined }
  }

  async #read(): Promise<IteratorResult<Uint8Array, void>> {
    const aborted = this.#signals.find((signal) => signal.aborted)
    if (aborted !== undefined) throw toFsError(aborted.reason, this.#at, this.#signals[0])
    if (this.#released) return { done: true, value: undefined }
    try {
      const length = Math.min(CHUNK_BYTES, this.#end - this.#position)
      const value = await readExactly(this.#fd, this.#position, length, this.#at)
      this.#position += length
      if (this.#position === this.#end) void this.#release()
      return { done: false, value }
    } catch (error) {
      void this.#release()
      throw toFsError(error, this.#at)
    }
  }

  #release(): Promise<unknown> {
    if (!this.#released) {
      this.#released = true
      for (const signal of this.#signals) signal.removeEventListener('abort', this.#onAbort)
      // The bytes have been read: failing to close a file opened for reading loses nothing.
      this.#last = this.#last.then(() => io.close(this.#fd)).catch(() => {})
    }
    return this.#last
  }
}

/** A body that has already been read. */
async function* bodyOf(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, void> {
  if (bytes.length > 0) yield bytes
}

/** Reads `length` bytes at `position`. @throws {StorageError} CONFLICT if the file ends earlier. */
async function readExactly(
  fd: number,
  position: number,
  length: number,
  at: ErrorLocation,
  pace?: Pace,
): Promise<Uint8Array> {
  const buffer = Buffer.allocUnsafeSlow(length)
  for (let filled = 0; filled < length; ) {
    const count = await io.read(fd, buffer, filled, position + filled, pace)
    if (count === 0)
      throw new StorageError('CONFLICT', at, { detail: 'the file was truncated while it was being read' })
    filled += count
  }
  return buffer
}
