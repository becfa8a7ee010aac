import { Readable } from 'node:stream'
import { type ErrorLocation, StorageError } from './backend/error.ts'
import { describeType } from './backend/options.ts'
import { type Feed, fed } from './source-feed.ts'
import { openFile } from './source-file.ts'

/**
 * Where a blob's bytes come from. A string is a path, a URL one of `file:`; any Readable is an async iterable. Bytes in memory
 * are not copied: they must stay as they are until the call has settled.
 */
export type BlobSource =
  | string
  | URL
  | Uint8Array
  | ArrayBuffer
  | Blob
  | ReadableStream<Uint8Array>
  | Iterable<Uint8Array>
  | AsyncIterable<Uint8Array>

/** A source that was opened. Whoever opened it releases it. */
export interface Source {
  /** Read once, front to back. Throws what the source throws; never ends early. */
  readonly body: AsyncIterable<Uint8Array>
  /** In bytes, where it is known beforehand. */
  readonly size?: number
  /** The file it is read from. */
  readonly path?: string
  /** All of it, where it lies in memory already. */
  readonly bytes?: Uint8Array
  /** Frees what is held, read to the end or not: a stream is destroyed, an iterator's `return` called, once. */
  release(): void
}

export interface OpenSourceOptions {
  /** Ends the reading at once, also while the source is idle, and releases the source. */
  readonly signal?: AbortSignal | undefined
  /**
   * Let a file use its buffers again: a chunk is then valid until the next but one is asked for. Fresh memory for each costs more
   * than reading into it.
   *
   * @default false
   */
  readonly reuse?: boolean
  /** For errors. @default `{ op: 'put' }` */
  readonly at?: ErrorLocation | undefined
}

/** Bytes in memory come in chunks of this size, so that hashing does not hold up the event loop for long. */
const CHUNK_BYTES = 1 << 20

/**
 * Opens a source for one reading. What lies in memory is opened synchronously.
 *
 * @throws {StorageError} INVALID_ARGUMENT for what is no source, a directory, a device, a stream that was read before · for a
 *   path, NOT_FOUND and PERMISSION_DENIED. While it is read: INVALID_ARGUMENT for a chunk that is not bytes ·
 *   SOURCE_CHANGED when the file is no longer what it was · `signal.reason`.
 */
export function openSource(source: BlobSource, options: OpenSourceOptions = {}): Source | Promise<Source> {
  const { signal, at = { op: 'put' }, reuse = false } = options
  if (source instanceof Uint8Array) return inMemory(source, signal)
  if (typeof source === 'string' || source instanceof URL) return openFile(source, signal, at, reuse)
  if (ArrayBuffer.isView(source)) return inMemory(bytesOf(source), signal)
  if (source instanceof ArrayBuffer) return inMemory(new Uint8Array(source), signal)
  if (source instanceof Blob) return fed(streamFeed(source.stream(), at), signal, at, { size: source.size })
  return fed(feedOf(source, at), signal, at)
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength)
}

function inMemory(bytes: Uint8Array, signal: AbortSignal | undefined): Source {
  signal?.throwIfAborted()
  return { body: chunksOf(bytes, signal), size: bytes.byteLength, bytes, release() {} }
}

async function* chunksOf(bytes: Uint8Array, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array, void, void> {
  for (let offset = 0; offset < bytes.byteLength; offset += CHUNK_BYTES) {
    signal?.throwIfAborted()
    yield bytes.subarray(offset, offset + CHUNK_BYTES)
  }
}

function feedOf(source: unknown, at: ErrorLocation): Feed {
  if (source instanceof ReadableStream) return streamFeed(source, at)
  if (typeof source !== 'object' || source === null) throw noSource(source, at)
  if (Symbol.asyncIterator in source)
    return 'destroy' in source ? readableFeed(source as Readable, at) : iteratorFeed(asyncIteratorOf(source))
  if (Symbol.iterator in source) return iteratorFeed((source as Iterable<unknown>)[Symbol.iterator]())
  throw noSource(source, at)
}

function noSource(source: unknown, at: ErrorLocation): StorageError {
  const detail = `a source is bytes, a path, a Blob, a stream or an iterable of bytes, not ${describeType(source)}`
  return new StorageError('INVALID_ARGUMENT', at, { detail })
}

function asyncIteratorOf(source: object): AsyncIterator<unknown> {
  return (source as AsyncIterable<unknown>)[Symbol.asyncIterator]()
}

function iteratorFeed(iterator: Iterator<unknown> | AsyncIterator<unknown>): Feed {
  return { next: () => iterator.next(), stop: () => iterator.return?.() }
}

/** Not by its own iterator: the `return` of that waits for a read that is under way, which may take forever. */
function streamFeed(stream: ReadableStream, at: ErrorLocation): Feed {
  // The types know only of Node's own streams.
  if (stream.locked || Readable.isDisturbed(stream as unknown as Readable)) throw readBefore(at)
  const reader = stream.getReader()
  return {
    next: async () => {
      const { done, value } = await reader.read()
      return done ? { done, value: undefined } : { done, value }
    },
    stop: (reason) => reader.cancel(reason),
  }
}

/** Destroyed, not returned from, for the same reason. */
function readableFeed(readable: Readable, at: ErrorLocation): Feed {
  if (readable.destroyed || readable.readableEnded) throw readable.errored ?? readBefore(at)
  // The iterator reports an error. This is for one that comes before it is asked or after it was left, else the process ends.
  readable.on('error', () => {})
  const iterator = asyncIteratorOf(readable)
  return { next: () => iterator.next(), stop: () => readable.destroy() }
}

function readBefore(at: ErrorLocation): StorageError {
  return new StorageError('INVALID_ARGUMENT', at, { detail: 'the stream is locked, was destroyed, or was read before' })
}
