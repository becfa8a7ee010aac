import type { Address } from '../backend/address.ts'
import type { Capabilities, Stat, WatchEvent } from '../backend/contract.ts'
import type { StorageError } from '../backend/error.ts'
import type { BlobSource } from '../source/source.ts'

/** Options of every call. */
export interface CallOptions {
  /** Rejects with ABORTED, whose `cause` is the signal's reason. */
  readonly signal?: AbortSignal | undefined
}

/** What is known of the bytes, and the condition under which they are written. */
export interface GuardedPutOptions extends CallOptions {
  /** In bytes. A source that is shorter or longer rejects with SIZE_MISMATCH and nothing is stored. */
  readonly size?: number | undefined
  /** Hex. A source with another digest rejects with CHECKSUM_MISMATCH and nothing is stored. */
  readonly sha256?: string | undefined
  /**
   * The local file that the source reads, for a driver that can clone it. The source is read and verified all the same. It has to
   * throw when another file took its place meanwhile, as a large file that `openSource` opened does: what is cloned has that name.
   */
  readonly file?: string | undefined
  /** Total bytes sent so far, never falling. */
  readonly onSent?: ((totalBytes: number) => void) | undefined
  /**
   * What `onCheckpoint` was last given by an earlier put of the same bytes at this key: it goes on where that one ended. Only
   * together with `size` and `sha256`.
   */
  readonly checkpoint?: string | undefined
  /** Keeps text that lets a later put go on; the put fails with it. Only together with `size` and `sha256`. */
  readonly onCheckpoint?: ((checkpoint: string) => Promise<void>) | undefined
  /** Rejects with ALREADY_EXISTS when the key is taken. */
  readonly ifAbsent?: boolean | undefined
  /** An etag. Rejects with PRECONDITION_FAILED when the blob has another, or is not there. */
  readonly ifMatch?: string | undefined
  /** A MIME type; kept only by backends that can. */
  readonly contentType?: string | undefined
  /** Kept only by backends that can; names become lower-case. */
  readonly metadata?: Readonly<Record<string, string>> | undefined
}

/** Which bytes are read, and on what condition. */
export interface GuardedGetOptions extends CallOptions {
  /** First byte, 0-based. @default 0 */
  readonly offset?: number | undefined
  /** Bytes; what lies past the end is left out. @default up to the end */
  readonly length?: number | undefined
  /** The last so many bytes, instead of `offset` and `length`. */
  readonly last?: number | undefined
  /** An etag. Rejects with PRECONDITION_FAILED when the blob has another. */
  readonly ifMatch?: string | undefined
  /** Hex. The body of a whole blob ends with CHECKSUM_MISMATCH instead of its last chunk when its digest is another. */
  readonly sha256?: string | undefined
}

/** What a listing covers. */
export interface GuardedListOptions extends CallOptions {
  /** @default '' which lists everything */
  readonly prefix?: string | undefined
  /** List only what sorts after this, which need not exist. */
  readonly startAfter?: string | undefined
  /** At most so many entries. */
  readonly limit?: number | undefined
  /** Keys that share what follows `prefix` up to the next slash come as one entry: `{ key: 'a/', size: -1 }`. */
  readonly delimiter?: '/' | undefined
  /** In the order of UTF-8 bytes, sorted in memory up to `sortLimit` where the driver does not. */
  readonly sorted?: boolean | undefined
}

/** A blob that was opened: read its body, or discard it. */
export interface GuardedGetResult {
  readonly stat: Stat
  /** Read once. Throws rather than ends early: CONFLICT where the blob was overwritten before it was read to its end. */
  readonly body: AsyncIterable<Uint8Array>
  /** Whether the body's last chunk is held back until a SHA-256 agrees: the one asked for, or the backend's own. */
  readonly verified: boolean
}

/**
 * A backend as programs use it: arguments are checked before anything is touched, sizes counted, digests computed, reads
 * retried, stalls noticed, and what a driver cannot do is emulated or refused with UNSUPPORTED. Opens itself on first use.
 *
 * Every method rejects with a StorageError whose `at.backend` is `name`; INVALID_KEY, INVALID_ARGUMENT and UNSUPPORTED come
 * before the driver is called, ABORTED and TIMEOUT from any of them, CLOSED after `close`.
 */
export interface GuardedBackend extends AsyncDisposable {
  /** As configured. */
  readonly name: string
  /** The kind of medium. */
  readonly driver: string
  /** Where its medium is, as far as the driver can tell without asking it. */
  readonly address: Address | undefined
  /** Final once `open` resolved. */
  readonly capabilities: Capabilities
  /** The same backend, which rejects with the first failure: for a caller that tries again by itself. */
  withoutRetries(): GuardedBackend
  /** Connects and probes, once; a failure is forgotten, and tried again by the next call. */
  open(options?: CallOptions): Promise<void>
  /** Has later calls use new connections, where the driver has any; calls under way keep theirs. */
  reconnect(options?: CallOptions): Promise<void>
  /**
   * Stores a blob, all of it or nothing, and releases the source. Not retried: the source is spent.
   *
   * @throws {StorageError} `ambiguous` when the write may have landed all the same.
   */
  put(key: string, source: BlobSource, options?: GuardedPutOptions): Promise<Stat & { readonly sha256: string }>
  /** @throws {StorageError} NOT_FOUND · RANGE_NOT_SATISFIABLE when `offset` is not below the size of a blob that has one. */
  get(key: string, options?: GuardedGetOptions): Promise<GuardedGetResult>
  /** @returns `null` only for a certain absence. */
  stat(key: string, options?: CallOptions): Promise<Stat | null>
  /** `false` only for a certain absence. */
  has(key: string, options?: CallOptions): Promise<boolean>
  /** Removes a blob; one that is not there is fine. */
  delete(key: string, options?: CallOptions & { readonly ifMatch?: string | undefined }): Promise<void>
  list(options?: GuardedListOptions): AsyncIterableIterator<Stat, void, void>
  /** Natively, else by reading and writing. @throws {StorageError} NOT_FOUND. */
  copy(from: string, to: string, options?: CallOptions): Promise<Stat>
  /** @returns The failures, by key. */
  deleteMany(keys: readonly string[], options?: CallOptions): Promise<Map<string, StorageError>>
  signedUrl(
    key: string,
    options: CallOptions & { readonly method: 'GET' | 'PUT'; readonly expiresMs: number },
  ): Promise<string>
  watch(options?: CallOptions & { readonly prefix?: string | undefined }): AsyncIterableIterator<WatchEvent, void, void>
  /** Removes debris of its own puts that is at least so old. @returns How many. */
  sweep(options: CallOptions & { readonly olderThanMs: number }): Promise<number>
  /** Aborts what is under way with CLOSED. Safe to repeat. */
  close(): Promise<void>
}
