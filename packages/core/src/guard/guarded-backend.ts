import type { Address } from '../backend/address.ts'
import type { Capabilities, Stat, WatchEvent } from '../backend/contract.ts'
import type { StorageError } from '../backend/error.ts'
import type { BlobSource } from '../source/source.ts'

/** Options of every call. */
export interface CallOptions {
  /** Rejects with ABORTED, whose `cause` is the signal's reason. */
  readonly signal?: AbortSignal | undefined
}

/** What is known about the bytes of a put, and the condition for writing them. */
export interface GuardedPutOptions extends CallOptions {
  /** In bytes. If the source is shorter or longer, the put rejects with SIZE_MISMATCH and stores nothing. */
  readonly size?: number | undefined
  /** Hex. If the source has another digest, the put rejects with CHECKSUM_MISMATCH and stores nothing. */
  readonly sha256?: string | undefined
  /**
   * The local file that the source reads, for a driver that can clone it. The source is still read and verified. It
   * must throw if another file takes its place, as a large file opened by `openSource` does: the driver clones whatever
   * has that name.
   */
  readonly file?: string | undefined
  /** Takes the total number of bytes sent so far, which never falls. */
  readonly onSent?: ((totalBytes: number) => void) | undefined
  /**
   * The last text that an earlier put of the same bytes under this key passed to `onCheckpoint`: the put resumes there. Needs `size`
   * and `sha256`.
   */
  readonly checkpoint?: string | undefined
  /** Saves text from which a later put can resume. If it rejects, the put rejects too. Needs `size` and `sha256`. */
  readonly onCheckpoint?: ((checkpoint: string) => Promise<void>) | undefined
  /** Reject with ALREADY_EXISTS if the key is taken. */
  readonly ifAbsent?: boolean | undefined
  /** An etag. Reject with PRECONDITION_FAILED if the blob has another, or is absent. */
  readonly ifMatch?: string | undefined
  /** A MIME type. Only some backends keep it. */
  readonly contentType?: string | undefined
  /** Only some backends keep it. Names become lower-case. */
  readonly metadata?: Readonly<Record<string, string>> | undefined
}

/** Which bytes to read, and on what condition. */
export interface GuardedGetOptions extends CallOptions {
  /** First byte, 0-based. @default 0 */
  readonly offset?: number | undefined
  /** Number of bytes, cut at the end of the blob. @default up to the end */
  readonly length?: number | undefined
  /** The number of last bytes to read, instead of `offset` and `length`. */
  readonly last?: number | undefined
  /** An etag. Reject with PRECONDITION_FAILED if the blob has another. */
  readonly ifMatch?: string | undefined
  /** Hex. If a whole blob has another digest, its body throws CHECKSUM_MISMATCH instead of yielding its last chunk. */
  readonly sha256?: string | undefined
}

/** Which bytes to read at once. */
export interface GuardedReadOptions extends CallOptions {
  /** The size of the whole blob in bytes, also when a range is read. */
  readonly size: number
  /** Hex. The read rejects with CHECKSUM_MISMATCH if the blob has another digest. */
  readonly sha256: string
}

/** A blob that was read at once. */
export interface GuardedBytes {
  readonly stat: Stat
  /** They are the caller's. */
  readonly bytes: Buffer
}

/** Which entries to list. */
export interface GuardedListOptions extends CallOptions {
  /** A plain prefix of the key. @default '' which lists everything */
  readonly prefix?: string | undefined
  /** List only keys that sort after this text, which need not be a key. */
  readonly startAfter?: string | undefined
  /** Maximum number of entries. */
  readonly limit?: number | undefined
  /** Fold keys that are equal up to the next slash after `prefix` into one entry: `{ key: 'a/', size: -1 }`. */
  readonly delimiter?: '/' | undefined
  /** List in the order of UTF-8 bytes. If the driver does not sort, up to `sortLimit` entries are sorted in memory. */
  readonly sorted?: boolean | undefined
}

/** A blob opened for reading. Read its body, or discard it. */
export interface GuardedGetResult {
  readonly stat: Stat
  /** Can be read once. Throws rather than ends early: CONFLICT if the blob was overwritten before it was read to its end. */
  readonly body: AsyncIterable<Uint8Array>
  /** Whether the last chunk is held back until a SHA-256 matches: the one given, or the backend's own. */
  readonly verified: boolean
}

/**
 * A backend as programs use it. It checks arguments before anything is touched, counts sizes, computes digests, retries reads,
 * ends calls that stall, and emulates what a driver cannot do or refuses it with UNSUPPORTED. It opens itself on first use.
 *
 * Every method rejects with a StorageError whose `at.backend` is `name`. INVALID_KEY, INVALID_ARGUMENT and UNSUPPORTED come
 * before the driver is called. Any method may reject with ABORTED or TIMEOUT, and with CLOSED after `close`.
 */
export interface GuardedBackend extends AsyncDisposable {
  /** The configured name. */
  readonly name: string
  /** The kind of medium. */
  readonly driver: string
  /** Where its medium is, if the driver knows without asking it. */
  readonly address: Address | undefined
  /** Final once `open` has resolved. */
  readonly capabilities: Capabilities
  /** The same backend without retries, for a caller that retries itself. */
  withoutRetries(): GuardedBackend
  /** Connects and probes, once. After a failure the next call tries again. */
  open(options?: CallOptions): Promise<void>
  /** Makes later calls use new connections, if the driver has any. Calls in progress keep theirs. */
  reconnect(options?: CallOptions): Promise<void>
  /**
   * Stores a blob, whole or not at all, and releases the source. Never retried, because the source is spent.
   *
   * @throws {StorageError} With `ambiguous` if the write may have landed anyway.
   */
  put(key: string, source: BlobSource, options?: GuardedPutOptions): Promise<Stat & { readonly sha256: string }>
  /** @throws {StorageError} NOT_FOUND · RANGE_NOT_SATISFIABLE if `offset` is at or after the end of a blob that is not empty. */
  get(key: string, options?: GuardedGetOptions): Promise<GuardedGetResult>
  /**
   * Reads a small blob whole, in less than `get` takes, and tries again as that does.
   *
   * @returns `null` if the blob there has another size; `get` tells what it is.
   * @throws {StorageError} NOT_FOUND · CHECKSUM_MISMATCH · SIZE_MISMATCH: its body is not as long as the backend says.
   */
  read(key: string, options: GuardedReadOptions): Promise<GuardedBytes | null>
  /** @returns `null` only if the blob is certainly absent. */
  stat(key: string, options?: CallOptions): Promise<Stat | null>
  /** @returns `false` only if the blob is certainly absent. */
  has(key: string, options?: CallOptions): Promise<boolean>
  /** Removes a blob. Resolves if it is absent. */
  delete(key: string, options?: CallOptions & { readonly ifMatch?: string | undefined }): Promise<void>
  list(options?: GuardedListOptions): AsyncIterableIterator<Stat, void, void>
  /** Copies a blob natively, or else by reading and writing. @throws {StorageError} NOT_FOUND. */
  copy(from: string, to: string, options?: CallOptions): Promise<Stat>
  /** @returns The failures, by key. */
  deleteMany(keys: readonly string[], options?: CallOptions): Promise<Map<string, StorageError>>
  signedUrl(
    key: string,
    options: CallOptions & { readonly method: 'GET' | 'PUT'; readonly expiresMs: number },
  ): Promise<string>
  watch(options?: CallOptions & { readonly prefix?: string | undefined }): AsyncIterableIterator<WatchEvent, void, void>
  /** Removes debris of its own puts that is at least that old. @returns The number of pieces. */
  sweep(options: CallOptions & { readonly olderThanMs: number }): Promise<number>
  /** Aborts calls in progress with CLOSED. Safe to repeat. */
  close(): Promise<void>
}
