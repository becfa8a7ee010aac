import { types } from 'node:util'
import { type ErrorLocation, StorageError } from '../backend/error.ts'
import { fed } from './feed.ts'
import { openFile, pathOf } from './file.ts'
import { feedOf, streamFeed } from './iterables.ts'
import { inMemory } from './memory.ts'

/**
 * Where a blob's bytes come from. A string is a path, a URL one of `file:`; any Readable is an async iterable. An iterable of no
 * chunks, such as `[]`, is an empty blob. Bytes in memory are not copied: they must stay as they are until the call has settled.
 */
export type BlobSource =
  | string
  | URL
  | Uint8Array
  | ArrayBufferLike
  | Blob
  | ReadableStream<Uint8Array>
  | Iterable<Uint8Array>
  | AsyncIterable<Uint8Array>

/** A source that was opened. Whoever opened it releases it. */
export interface Source {
  /** Read once, front to back. Throws SOURCE_FAILED where the source does; never ends early. */
  readonly body: AsyncIterable<Uint8Array>
  /** In bytes, where it is known beforehand. */
  readonly size?: number
  /** The file it is read from. */
  readonly path?: string
  /** Its chunks stay as they are until the source is released: nobody else writes to them. */
  readonly keepsStill?: true
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

/**
 * Opens a source for one reading. What lies in memory is opened synchronously.
 *
 * @throws {StorageError} INVALID_ARGUMENT for what is no source, a directory, a device, a buffer that was detached, a stream that
 *   was read before · for a path, NOT_FOUND and PERMISSION_DENIED · SOURCE_FAILED for a stream that has failed. While it is read:
 *   INVALID_ARGUMENT for a chunk that is not bytes · SOURCE_CHANGED when the file, or the buffer, is no longer what it was ·
 *   SOURCE_FAILED, with what the source threw as its cause; a StorageError passes as it is · `signal.reason`.
 */
export function openSource(source: BlobSource, options: OpenSourceOptions = {}): Source | Promise<Source> {
  const { at = { op: 'put' } } = options
  try {
    return open(source, options, at)
  } catch (cause) {
    if (StorageError.is(cause) || options.signal?.aborted) throw cause
    // A Proxy, or what only has the prototype of a stream.
    throw new StorageError('INVALID_ARGUMENT', at, { cause, detail: 'the source cannot be opened' })
  }
}

function open(
  source: unknown,
  { signal, reuse = false }: OpenSourceOptions,
  at: ErrorLocation,
): Source | Promise<Source> {
  if (ArrayBuffer.isView(source) || types.isAnyArrayBuffer(source)) return inMemory(source, signal, at)
  if (typeof source === 'string' || source instanceof URL) return openFile(pathOf(source, at), signal, at, reuse)
  if (source instanceof Blob) return fed(streamFeed(source.stream(), at), signal, at, { size: source.size })
  return fed(feedOf(source, at), signal, at)
}
