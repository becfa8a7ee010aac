import { type ErrorLocation, type GetOptions, type GetResult, StorageError } from '@stored/core/backend'
import { Connection, type Handle } from './connection.ts'
import { toSftpError } from './errors.ts'
import { LinkedSignal } from './signals.ts'
import { toStat } from './stat.ts'

/**
 * The number of chunks in which the requests in flight are delivered, if there are that many. The requests of a chunk
 * go out together: each write to the socket wakes the server, and each chunk wakes the reader, which cost more than the
 * bytes (measured). With fewer chunks less is in flight while waiting for one.
 */
const CHUNKS = 4

export interface DownloadContext {
  readonly connection: Connection
  readonly requestsInFlight: number
  /** The signals of the caller and of the backend. */
  readonly signals: readonly AbortSignal[]
  readonly at: ErrorLocation
}

/**
 * Opens the blob of `key` at `path` for reading.
 *
 * @throws NO_SUCH_FILE if it does not exist · {StorageError} NOT_FOUND if a link led elsewhere.
 */
export async function download(
  context: DownloadContext,
  path: string,
  key: string,
  { offset = 0, length = Number.POSITIVE_INFINITY }: GetOptions,
): Promise<GetResult> {
  const { connection, at } = context
  const handle = await connection.open(path, 'r')
  let body: DownloadBody | undefined
  try {
    // Checked again: opening follows links, and one may have appeared since the path was checked.
    const [stats, place] = await Promise.all([connection.fstat(handle), connection.realpath(path)])
    if (place !== path) throw new StorageError('NOT_FOUND', at, { detail: 'a symbolic link is in the way' })
    const stat = toStat(key, stats)
    if (offset > 0 && offset >= stat.size) throw new StorageError('RANGE_NOT_SATISFIABLE', at)
    body = new DownloadBody(context, handle, offset, Math.min(stat.size, offset + length))
    return { stat, body }
  } finally {
    if (body === undefined) connection.closeHandle(handle).catch(() => {})
  }
}

/**
 * The bytes from `position` to `end` of an open file, read ahead. Closes the file at the end, on a failure, when the
 * iteration is left, and when a signal aborts, even if nothing is reading.
 */
class DownloadBody implements AsyncIterableIterator<Uint8Array, void> {
  readonly #context: DownloadContext
  readonly #handle: Handle
  readonly #end: number
  /** The size of a chunk, and how many are requested ahead. */
  readonly #chunkBytes: number
  readonly #chunks: number
  readonly #linked: LinkedSignal
  readonly #onAbort = () => {
    this.#release()
    this.#interrupt(this.#linked.signal.reason)
  }
  /** Ends the wait for a chunk. Not a listener for each chunk: its closure keeps the garbage collector busy. */
  #interrupt: (reason: unknown) => void = () => {}
  /** Requested and not yet delivered, in order. */
  readonly #ahead: Promise<Uint8Array>[] = []
  /** Where the next request starts. */
  #position: number
  #released = false
  /** Calls of next() are answered one after the other. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(context: DownloadContext, handle: Handle, position: number, end: number) {
    this.#context = context
    this.#handle = handle
    this.#position = position
    this.#end = end
    const { connection, requestsInFlight } = context
    const requests = Connection.requestsOf(connection.readBytes, requestsInFlight)
    const requestsPerChunk = Math.max(1, Math.floor(requests / CHUNKS))
    this.#chunkBytes = requestsPerChunk * connection.readBytes
    this.#chunks = Math.floor(requests / requestsPerChunk)
    connection.users++
    this.#linked = new LinkedSignal(context.signals)
    this.#linked.signal.addEventListener('abort', this.#onAbort)
    if (this.#linked.signal.aborted || position === end) this.#release()
    else this.#readAhead(1)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<Uint8Array, void>> {
    const step = this.#last.then(() => this.#step())
    // The caller of next() gets the error; this only waits.
    this.#last = step.catch(() => {})
    return step
  }

  async return(): Promise<IteratorResult<Uint8Array, void>> {
    this.#release()
    return { done: true, value: undefined }
  }

  async #step(): Promise<IteratorResult<Uint8Array, void>> {
    const { at, signals } = this.#context
    try {
      this.#linked.signal.throwIfAborted()
      if (this.#released) return { done: true, value: undefined }
      this.#readAhead(this.#chunks)
      const value = await this.#untilAborted(this.#ahead.shift() as Promise<Uint8Array>)
      if (this.#ahead.length === 0 && this.#position === this.#end) this.#release()
      return { done: false, value }
    } catch (error) {
      this.#release()
      throw toSftpError(error, at, signals[0])
    }
  }

  #untilAborted(chunk: Promise<Uint8Array>): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.#interrupt = reject
      chunk.then(resolve, reject)
    })
  }

  #readAhead(most: number): void {
    while (this.#ahead.length < most && this.#position < this.#end) {
      const length = Math.min(this.#chunkBytes, this.#end - this.#position)
      const chunk = this.#readChunk(this.#position, length)
      // Its consumer gets the error.
      chunk.catch(() => {})
      this.#ahead.push(chunk)
      this.#position += length
    }
  }

  async #readChunk(position: number, length: number): Promise<Uint8Array> {
    const buffer = Buffer.allocUnsafeSlow(length)
    const { readBytes } = this.#context.connection
    const parts: Promise<void>[] = []
    for (let from = 0; from < length; from += readBytes) {
      parts.push(this.#fill(buffer, from, Math.min(length, from + readBytes), position))
    }
    await Promise.all(parts)
    return buffer
  }

  /** @throws {StorageError} CONFLICT if the file ends earlier. */
  async #fill(buffer: Buffer, from: number, to: number, position: number): Promise<void> {
    const { connection, at } = this.#context
    for (let filled = from; filled < to; ) {
      const count = await connection.read(this.#handle, buffer, filled, to - filled, position + filled)
      if (count === 0)
        throw new StorageError('CONFLICT', at, { detail: 'the file was truncated while it was being read' })
      filled += count
    }
  }

  #release(): void {
    if (this.#released) return
    this.#released = true
    this.#linked.signal.removeEventListener('abort', this.#onAbort)
    this.#linked[Symbol.dispose]()
    this.#context.connection.users--
    // The bytes have been read: failing to close a file opened for reading loses nothing.
    this.#context.connection.closeHandle(this.#handle).catch(() => {})
  }
}
