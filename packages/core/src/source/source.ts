import type { ErrorLocation } from '../backend/error.ts'

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

/** The bytes of a blob, front to back. Bytes in memory come without waiting: a promise for each step costs more than the step. */
export type Chunks = Iterable<Uint8Array, void, void> | AsyncIterable<Uint8Array, void, void>

/** A source that was opened. Whoever opened it releases it. */
export interface Source {
  /** Read once, front to back. Throws SOURCE_FAILED where the source does; never ends early. */
  readonly body: Chunks
  /** In bytes, where it is known beforehand. */
  readonly size?: number
  /** The file it is read from. */
  readonly path?: string
  /** Its chunks stay as they are until the source is released, or as `reuse` says: nobody else writes to them. */
  readonly keepsStill?: true
  /** Its chunks stay as they are for good: nobody else has them. */
  readonly owned?: true
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
