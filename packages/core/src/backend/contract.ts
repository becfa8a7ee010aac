import type { Address } from './address.ts'
import type { StorageError } from './error.ts'

/** What every operation gets. */
export interface Op {
  /** Always there; timeouts are merged into it already. */
  readonly signal: AbortSignal
}

/** What a backend says of one blob it holds. */
export interface Stat {
  readonly key: string
  /** Of the whole blob, in bytes, also when only a range was asked for. */
  readonly size: number
  /** Milliseconds since the epoch, by the medium's clock. */
  readonly modified?: number
  /** An opaque token that changes whenever the content does. Never a checksum. */
  readonly etag?: string
  /** Changes with whatever a scan should look at again; finer than `etag`. */
  readonly fingerprint?: string
  /** Digests of the whole blob that the backend itself keeps, in lower-case hex. */
  readonly checksums?: Readonly<Partial<Record<NativeChecksum, string>>>
  readonly contentType?: string
  readonly metadata?: Readonly<Record<string, string>>
}

/** A checksum that a medium may compute or check itself. */
export type NativeChecksum = 'sha256' | 'sha1' | 'md5' | 'crc32c' | 'crc64nvme'

export interface PutOptions extends Op {
  /** Exact when given; the guard enforces it, so a driver may preallocate by it. */
  readonly size?: number
  /** Hex; known before the first byte when the blob was staged. */
  readonly sha256?: string
  /** The same bytes as a local file. A driver that uses it must not touch `body`, and calls `onSent`. */
  readonly file?: string
  /** Total bytes sent so far, never falling. */
  readonly onSent?: (totalBytes: number) => void
  /**
   * What `onCheckpoint` was last given by an earlier put of the same bytes at this key that did not end. Only if
   * `capabilities.resume`, and only with `size` and `sha256`. What is no text of this driver's, or was kept for another key,
   * size or digest, or whose remains are gone, means nothing: the put begins anew.
   *
   * Bytes that arrived are left out only where they are known to be the ones that `body` yields, by digests that the driver
   * keeps or that the medium tells: a source may have delivered wrong ones before. Those that differ are sent again.
   */
  readonly checkpoint?: string
  /**
   * Keeps text, at most 64 KiB and never a secret, that lets a later put of the same bytes at this key go on where this one
   * ended: durable when it resolves. When it rejects, so does the put, and leaves nothing, as a put without it that fails. Only
   * if `capabilities.resume`, and only with `size` and `sha256`.
   */
  readonly onCheckpoint?: (checkpoint: string) => Promise<void>
  /** Only if `capabilities.ifAbsent`. @see RFC 9110 section 13.1.2: its `If-None-Match: *`. */
  readonly ifAbsent?: true
  /** An etag; only if `capabilities.ifMatch`. @see RFC 9110 section 13.1.1. */
  readonly ifMatch?: string
  /** Only if `capabilities.contentType`. */
  readonly contentType?: string
  /** Only if `capabilities.metadata`. */
  readonly metadata?: Readonly<Record<string, string>>
}

export interface GetOptions extends Op {
  /** First byte, 0-based; only if `capabilities.range`. @default 0 */
  readonly offset?: number
  /** At least 1; only if `capabilities.range`. @default up to the end */
  readonly length?: number
  /** Only if `capabilities.ifMatch`. */
  readonly ifMatch?: string
}

export interface DeleteOptions extends Op {
  /** Only if `capabilities.ifMatch`. */
  readonly ifMatch?: string
}

export interface ListOptions extends Op {
  /** A plain prefix of the key; `''` lists everything. */
  readonly prefix: string
  /** List only keys that sort after this one, which need not exist. Only if `capabilities.startAfter`. */
  readonly startAfter?: string
  /** How many entries the caller is likely to read, for the size of a page. No limit: all are listed, if they are read. */
  readonly hint?: number
}

/** A blob that was opened for reading. */
export interface GetResult {
  readonly stat: Stat
  readonly body: AsyncIterable<Uint8Array>
}

/**
 * What a driver, or its guard, has to say to operators, beside what calls reject with. The guard strikes what a Credential gave, and lets
 * a hundred a minute of each level pass. To say something never throws.
 */
export interface LogEvent {
  /**
   * - `warn`: something was passed over or left, and an operator may want to look: a file that is no blob, debris, a missing feature
   * - `debug`: what helps to understand a case, such as a try that failed and is made again
   */
  readonly level: 'debug' | 'warn'
  readonly message: string
  readonly key?: string
}

/** What a driver is given when it is opened. */
export interface OpenContext {
  readonly signal?: AbortSignal
  /** What `medium` was when it was first opened. */
  readonly medium?: string
  /** Also later, for as long as the backend is open. */
  log(event: LogEvent): void
}

/** What a watched medium tells. A hint: a scan is the truth. */
export type WatchEvent =
  | { readonly type: 'put' | 'delete'; readonly key: string }
  /** Changes were missed: scan. */
  | { readonly type: 'overflow' }

/** What a backend can do beyond the five methods. What is absent here is refused by the guard, never ignored. */
export interface Capabilities {
  /** The version of this contract. */
  readonly contract: 1
  readonly readOnly?: boolean
  /** `get` takes `offset` and `length`. */
  readonly range?: boolean
  /** `put` takes `ifAbsent` and decides it in one step: of many racers exactly one wins. */
  readonly ifAbsent?: boolean
  /** `put`, `get` and `delete` take `ifMatch` and decide it in one step. */
  readonly ifMatch?: boolean
  /** `false`: while a blob is overwritten, readers may for a moment see NOT_FOUND, never a mix. @default true */
  readonly atomicOverwrite?: boolean
  /** `list` yields keys in the order of their UTF-8 bytes. */
  readonly order?: boolean
  /** `list` takes `startAfter`. */
  readonly startAfter?: boolean
  /** Full-object digests that `stat` reports for every blob. */
  readonly checksums?: readonly NativeChecksum[]
  readonly contentType?: boolean
  readonly metadata?: boolean
  /** `put` reads `file` itself when it is given. */
  readonly usesFile?: boolean
  /** `put` goes on from a `checkpoint`: bytes that arrived, but for the last `limits.partSize`, are not sent again. */
  readonly resume?: boolean
  readonly copy?: boolean
  readonly deleteMany?: boolean
  readonly signedUrl?: boolean
  readonly watch?: boolean
  readonly sweep?: boolean
  /** Reading it through a cache would be pointless. */
  readonly local?: boolean
  /** `weak`: two quick overwrites of the same size may share an etag. @default 'strong' where there are etags */
  readonly etag?: 'strong' | 'weak'
  readonly keys?: {
    /** @default true */
    readonly caseSensitive?: boolean
    /** Keys that are equal after Unicode normalization collide. @default false */
    readonly normalizes?: boolean
    /** `p` and `p/q` may both exist. @default true */
    readonly fileAndPrefix?: boolean
    readonly maxBytes?: number
    readonly maxSegmentBytes?: number
  }
  readonly limits?: {
    /** In bytes. */
    readonly maxSize?: number
    /** `put` must be told the size. */
    readonly needsSize?: boolean
    /** In bytes. */
    readonly partSize?: number
    /** Operations at a time; the guard queues the rest. */
    readonly maxConcurrent?: number
  }
}

/**
 * A place that holds blobs by key. A driver extends this class, implements the five methods and declares what else it can
 * do. It is called through a guard, which validates keys, counts sizes, computes digests, retries reads and watches for
 * stalls: a driver does none of these.
 *
 * Promises that hold for every method:
 * - Instances are safe for concurrent calls, up to `limits.maxConcurrent`.
 * - Keys arrive validated (well-formed, 1 to 1,024 UTF-8 bytes, no control character, no empty, `.` or `..` segment, nothing
 *   under `.stored/`). A driver may escape a key, never reinterpret it; one that it cannot hold is refused with INVALID_KEY,
 *   before any I/O where that is known. What the medium itself refuses, or what is in the way of one key, is no outage: `put`
 *   rejects with INVALID_KEY or KEY_CONFLICT, and other keys go on. To all other calls nothing lies there.
 * - A failure is a `StorageError`; an abort may also be rejected with `signal.reason`.
 * - A whole operation is never retried by the driver; a part that it still holds in a buffer may be.
 * - A missing permission is PERMISSION_DENIED, never an absence: what reads as "not there" reads as "safe to write again".
 */
export abstract class StorageBackend {
  /** The kind of medium: `fs`, `s3`. */
  abstract readonly name: string
  /** Final once `open` resolved. */
  abstract readonly capabilities: Capabilities

  /**
   * Names the medium itself, a volume or a bucket: another one found under the same configuration has another name, a blank one
   * is given a new one. Final once `open` resolved. `undefined` where nothing tells them apart.
   */
  get medium(): string | undefined {
    return undefined
  }

  /**
   * Where the medium is, told without asking it: by the options, and for a path of this machine by its links. Two backends of which
   * one has, or holds, the address of the other are refused: one blob would count as two copies. The same before and after `open`.
   * Never waits, also while the medium is away. `undefined` where nothing can be told.
   */
  get address(): Address | undefined {
    return undefined
  }

  /**
   * Connects and probes. Safe to repeat. Called once before the first operation.
   *
   * @throws {StorageError} UNAVAILABLE, when `context.medium` is given: it is not there, and nothing is made in its place.
   */
  open?(context: OpenContext): Promise<void>

  /**
   * Has later calls use new connections; calls under way keep theirs and end as they would have. For drivers that keep
   * connections open: bytes that were read wrong are read again over another one, before the blob is called damaged.
   */
  reconnect?(): void | Promise<void>

  /**
   * Stores `body` under `key`, replacing the blob already there.
   *
   * Atomic: until it resolves, `stat`, `get` and `list` answer as before; a rejected `put` leaves the former blob, or none,
   * and nothing half-written that anyone could see. Durable once resolved, as far as the medium allows. Safe to repeat,
   * conditions apart. Of several at once each resolves or rejects with CONFLICT, and what remains is one of those that resolved.
   *
   * @param body Read once, front to back; may be empty, and may throw. `put` then rejects with what it threw, as it is: a source that
   *   fails, often with SOURCE_FAILED, says nothing of the medium.
   * @returns What was stored.
   * @throws {StorageError} ALREADY_EXISTS with `ifAbsent` when the key is taken · PRECONDITION_FAILED with `ifMatch` when the
   *   etag differs or nothing is there · KEY_CONFLICT when something else is in the way · NO_SPACE ·
   *   TOO_LARGE · `ambiguous` when the write may have landed all the same.
   */
  abstract put(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat>

  /**
   * Opens a blob for reading. A reader opened before an overwrite yields the former bytes to their end, or throws CONFLICT; one
   * opened before a delete may throw NOT_FOUND as well. A body that cannot be read to its end throws; it never just ends.
   *
   * @throws {StorageError} NOT_FOUND, before anything is returned · PRECONDITION_FAILED with `ifMatch`.
   */
  abstract get(key: string, options: GetOptions): Promise<GetResult>

  /** @returns `null` only for a certain absence. */
  abstract stat(key: string, options: Op): Promise<Stat | null>

  /** Removes the blob; one that is not there is fine. @throws {StorageError} PRECONDITION_FAILED with `ifMatch`. */
  abstract delete(key: string, options: DeleteOptions): Promise<void>

  /**
   * Lists blobs whose key starts with `prefix`. A key that is there throughout comes exactly once, also when it is overwritten;
   * one that comes or goes meanwhile comes once or not at all. So a page begins after the last key before it, which may be gone,
   * not after a count of entries. Memory is bounded. Ending the iteration early frees what it holds.
   */
  abstract list(options: ListOptions): AsyncIterable<Stat>

  /** Ends what is under way within 5 s; later calls reject with CLOSED. Safe to repeat. */
  close?(): Promise<void>

  /**
   * Only with `capabilities.copy`. Replaces what is at `to`, as `put` does, with the bytes, the content type and the metadata of the
   * blob at `from`; neither changes with the other later. Onto its own key a copy changes nothing.
   *
   * @throws {StorageError} NOT_FOUND: nothing is at `from`, and what is at `to` stays.
   */
  copy?(from: string, to: string, options: Op): Promise<Stat>
  /**
   * Only with `capabilities.deleteMany`. Takes any number of keys, none and one twice too; what is not there is no failure.
   *
   * @returns The failures, by key: what is not among them is gone.
   */
  deleteMany?(keys: readonly string[], options: Op): Promise<Map<string, StorageError>>
  /** Only with `capabilities.signedUrl`. */
  signedUrl?(key: string, options: Op & { method: 'GET' | 'PUT'; expiresMs: number }): Promise<string>
  /** Only with `capabilities.watch`. */
  watch?(options: Op & { prefix?: string }): AsyncIterable<WatchEvent>
  /**
   * Only with `capabilities.sweep`. Removes debris of its own puts that is at least so old: never a blob, nor what a put of this
   * instance is writing. Puts of other processes are told from debris by their age alone.
   *
   * @returns How many.
   */
  sweep?(options: Op & { olderThanMs: number }): Promise<number>
}

/**
 * How a driver is found by its name in a configuration: its package exports this as `driver`. It validates its options
 * (`checkOptions`) and throws INVALID_ARGUMENT; it does no I/O.
 *
 * Beside it the module may export two lists of names of its options:
 * - `secrets: readonly string[]`: each takes a `Secret`. Where the configuration refers to one (`{ env }`, `{ file }`), the
 *   driver is given a function that reads it anew on every call; what a person is shown masks it.
 * - `paths: readonly string[]`: each is a path on this machine. A relative one in a file counts from that file.
 */
export type Driver = (options: Readonly<Record<string, unknown>>) => StorageBackend
