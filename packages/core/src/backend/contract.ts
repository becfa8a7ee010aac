import type { Address } from './address.ts'
import type { StorageError } from './error.ts'

/** Options of every operation. */
export interface Op {
  /** Always present. Timeouts are already merged into it. */
  readonly signal: AbortSignal
}

/** What a backend reports about one blob. */
export interface Stat {
  readonly key: string
  /** Bytes in the whole blob, even if only a range was read. */
  readonly size: number
  /** Milliseconds since the epoch, by the medium's clock. */
  readonly modified?: number
  /** An opaque token that changes whenever the content does. Never a checksum. */
  readonly etag?: string
  /** Changes whenever a scan should look at the blob again; finer than `etag`. For packages that scan: the store does not read it. */
  readonly fingerprint?: string
  /** Digests of the whole blob that the backend itself keeps, in lower-case hex. */
  readonly checksums?: Readonly<Partial<Record<NativeChecksum, string>>>
  readonly contentType?: string
  readonly metadata?: Readonly<Record<string, string>>
}

/** A checksum that a medium may compute or check itself. */
export type NativeChecksum = 'sha256' | 'sha1' | 'md5' | 'crc32c' | 'crc64nvme'

/** What is known about the bytes of a put, and the conditions for writing them. */
export interface PutOptions extends Op {
  /** The exact number of bytes, if known. The guard enforces it, so a driver may preallocate. */
  readonly size?: number
  /** Hex. Known before the first byte if the blob was staged. */
  readonly sha256?: string
  /**
   * The local file that `body` is read from. Given only with `capabilities.usesFile`. A driver may clone the file instead of writing
   * the chunks of `body`. If that fails, because the file is on another medium or gone, it writes the chunks.
   *
   * Read `body` to its end in either case, and publish the blob only then: `body` throws if the bytes are wrong, if the file changed,
   * or if another file took its place.
   */
  readonly file?: string
  /** Takes the total number of bytes sent so far, which never falls. */
  readonly onSent?: (totalBytes: number) => void
  /**
   * The last text that an earlier, unfinished put of the same bytes under the same key passed to `onCheckpoint`. Given only
   * with `capabilities.resume`, and only with `size` and `sha256`.
   *
   * Ignore a checkpoint that you did not write, that belongs to another key, size or digest, or whose upload is gone: start
   * over. Skip bytes only if a digest that you keep or that the medium reports proves that they are the ones `body` yields,
   * because the earlier source may have delivered wrong bytes. Send bytes that differ again.
   */
  readonly checkpoint?: string
  /**
   * Saves the text from which a later put of the same bytes under the same key can resume: at most 64 KiB, and never a secret.
   * It is durable once the promise resolves. If it rejects, the put rejects too and leaves nothing behind. Given only with
   * `capabilities.resume`, and only with `size` and `sha256`.
   */
  readonly onCheckpoint?: (checkpoint: string) => Promise<void>
  /** Only with `capabilities.ifAbsent`. @see RFC 9110 section 13.1.2: this is `If-None-Match: *`. */
  readonly ifAbsent?: true
  /** An etag. Only with `capabilities.ifMatch`. @see RFC 9110 section 13.1.1. */
  readonly ifMatch?: string
  /** Only with `capabilities.contentType`. */
  readonly contentType?: string
  /** Only with `capabilities.metadata`. */
  readonly metadata?: Readonly<Record<string, string>>
}

/** Which bytes to read, and on what condition. */
export interface GetOptions extends Op {
  /** First byte, 0-based. Only with `capabilities.range`. @default 0 */
  readonly offset?: number
  /** Number of bytes, at least 1. Only with `capabilities.range`. @default up to the end */
  readonly length?: number
  /** An etag. Only with `capabilities.ifMatch`. */
  readonly ifMatch?: string
}

/** On what condition to delete. */
export interface DeleteOptions extends Op {
  /** An etag. Only with `capabilities.ifMatch`. */
  readonly ifMatch?: string
}

/** Which keys to list. */
export interface ListOptions extends Op {
  /** A plain prefix of the key; `''` lists everything. */
  readonly prefix: string
  /** List only keys that sort after this text, which need not be a key. Only with `capabilities.startAfter`. */
  readonly startAfter?: string
  /** How many entries the caller expects to read: a page size, not a limit. A caller that reads on gets everything. */
  readonly hint?: number
}

/** A blob opened for reading. */
export interface GetResult {
  readonly stat: Stat
  readonly body: AsyncIterable<Uint8Array>
}

/**
 * A message from a driver or its guard to operators. The guard removes everything that a Credential supplied, and passes at most
 * a hundred events of each level a minute.
 */
export interface LogEvent {
  /**
   * - `warn`: something was skipped or left behind and an operator may want to look: a file that is not a blob, debris, a missing
   *   feature
   * - `debug`: helps to understand a case: a failed attempt that will be repeated
   */
  readonly level: 'debug' | 'warn'
  readonly message: string
  readonly key?: string
}

/** What `open` receives. */
export interface OpenContext {
  readonly signal?: AbortSignal
  /** The value of `medium` when this backend was first opened. */
  readonly medium?: string
  /** Never throws. May be called for as long as the backend is open. */
  log(event: LogEvent): void
}

/** A change that `watch` reports. It is a hint; only a scan is the truth. */
export type WatchEvent =
  | { readonly type: 'put' | 'delete'; readonly key: string }
  /** Changes were missed: scan. */
  | { readonly type: 'overflow' }

/** What a backend can do beyond the five methods. The guard refuses or emulates what is not declared; nothing is ignored. */
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
  /** `false`: readers may briefly see NOT_FOUND while a blob is overwritten, but never a mix. @default true */
  readonly atomicOverwrite?: boolean
  /** `list` yields keys in the order of their UTF-8 bytes. */
  readonly order?: boolean
  /** `list` takes `startAfter`. */
  readonly startAfter?: boolean
  /** Whole-blob digests that `stat` reports for every blob. */
  readonly checksums?: readonly NativeChecksum[]
  readonly contentType?: boolean
  readonly metadata?: boolean
  /** `put` takes `file` and clones it where it can: the bytes are read, but not written a second time. */
  readonly usesFile?: boolean
  /** `put` resumes from a `checkpoint`: it sends again at most the last `limits.partSize` bytes of those that arrived. */
  readonly resume?: boolean
  readonly copy?: boolean
  readonly deleteMany?: boolean
  readonly signedUrl?: boolean
  readonly watch?: boolean
  readonly sweep?: boolean
  /** Reading it through a cache would gain nothing. */
  readonly local?: boolean
  /** `weak`: two quick overwrites of the same size may share an etag. @default 'strong' if there are etags */
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
    /** `put` must be given `size`. */
    readonly needsSize?: boolean
    /** In bytes. */
    readonly partSize?: number
    /** Concurrent operations. The guard queues the rest. */
    readonly maxConcurrent?: number
  }
}

/**
 * A place that holds blobs by key. This class is the contract between drivers and their callers: the promises below run both
 * ways, and the kit (`@stored/conformance`) checks those of a driver.
 *
 * ## If you implement a driver
 *
 * Extend this class, implement its five abstract methods, and declare in `capabilities` what else the medium does by itself.
 *
 * You may rely on this:
 * - Keys are valid: well-formed, 1 to 1,024 bytes of UTF-8, no control characters, no empty, `.` or `..` segment, nothing under
 *   `.stored/`.
 * - You receive only options that you declared. `signal` is always present.
 * - The guard validates arguments, counts bytes, computes digests, retries reads and ends calls that stall. Do none of these.
 *
 * You must:
 * - Allow concurrent calls on one instance, up to `limits.maxConcurrent`.
 * - Take a key exactly as it is. You may escape it, but never reinterpret it. Refuse a key that you cannot hold with INVALID_KEY,
 *   before any I/O if you can tell by then.
 * - Keep one bad key from failing the others. If the medium refuses a name, or something is in its way, `put` rejects with
 *   INVALID_KEY or KEY_CONFLICT, never with an outage; every other method treats that key as absent.
 * - Reject with a `StorageError`. After an abort you may reject with `signal.reason` instead.
 * - Report a missing permission as PERMISSION_DENIED, never as an absence: a caller takes "not there" to mean "safe to write".
 *
 * You must not retry a whole operation. You may retry a part that you still hold in a buffer.
 *
 * A complete driver over a `Map`:
 * ```ts
 * import { type Capabilities, type GetResult, type ListOptions, type Op, type PutOptions, type Stat } from '@stored/core/backend'
 * import { StorageBackend, StorageError } from '@stored/core/backend'
 *
 * class MapBackend extends StorageBackend {
 *   readonly name = 'map'
 *   readonly capabilities: Capabilities = { contract: 1 }
 *   readonly #blobs = new Map<string, Uint8Array>()
 *
 *   async put(key: string, body: AsyncIterable<Uint8Array>, { signal }: PutOptions): Promise<Stat> {
 *     const bytes = Buffer.concat(await Array.fromAsync(body))
 *     signal.throwIfAborted()
 *     this.#blobs.set(key, bytes) // one step: no reader sees half a blob
 *     return { key, size: bytes.byteLength }
 *   }
 *
 *   async get(key: string, options: Op): Promise<GetResult> {
 *     const stat = await this.stat(key, options)
 *     const bytes = this.#blobs.get(key)
 *     if (!stat || !bytes) throw new StorageError('NOT_FOUND', { backend: this.name, op: 'get', key })
 *     return { stat, body: (async function* () { yield bytes })() }
 *   }
 *
 *   async stat(key: string, { signal }: Op): Promise<Stat | null> {
 *     signal.throwIfAborted()
 *     const bytes = this.#blobs.get(key)
 *     return bytes ? { key, size: bytes.byteLength } : null
 *   }
 *
 *   async delete(key: string, { signal }: Op): Promise<void> {
 *     signal.throwIfAborted()
 *     this.#blobs.delete(key)
 *   }
 *
 *   async *list({ prefix, signal }: ListOptions): AsyncGenerator<Stat> {
 *     for (const [key, { byteLength: size }] of this.#blobs) {
 *       signal.throwIfAborted()
 *       if (key.startsWith(prefix)) yield { key, size }
 *     }
 *   }
 * }
 * ```
 *
 * ## If you call one
 *
 * Do not call a driver directly: `guardBackend(driver)` of `@stored/core` has the same methods, with all options optional, and
 * keeps the caller's side of this contract for you.
 * ```ts
 * import { guardBackend } from '@stored/core'
 *
 * const place = guardBackend(new MapBackend())
 * await place.put('notes/today.txt', Buffer.from('Buy milk.'))
 * for await (const { key, size } of place.list({ prefix: 'notes/' })) console.log(key, size)
 * ```
 *
 * A wrapper, a test or a guard calls a driver itself.
 *
 * You may rely on what each method promises, and on the capabilities that are declared.
 *
 * You must:
 * - Wait for `open` before the first operation, if there is one.
 * - Pass a valid key (`checkKey`), a `signal`, and only options that the capabilities declare.
 * - Give each `put` a fresh `body`; it is read once.
 * - Read the body of a `get`, or end its iteration, so that it frees what it holds.
 * - After an `ambiguous` failure, look at what is stored before you claim either outcome.
 *
 * The examples of the methods go on from this one:
 * ```ts
 * import { deepEqual, equal, rejects } from 'node:assert/strict'
 * import { MemoryBackend } from '@stored/core/backend'
 *
 * const backend = new MemoryBackend()
 * const { signal } = new AbortController()
 *
 * async function* bytesOf(text: string): AsyncGenerator<Uint8Array> {
 *   yield Buffer.from(text)
 * }
 *
 * async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
 *   return Buffer.concat(await Array.fromAsync(body)).toString()
 * }
 * ```
 */
export abstract class StorageBackend {
  /** The kind of medium: `fs`, `s3`. */
  abstract readonly name: string
  /** Final once `open` has resolved. */
  abstract readonly capabilities: Capabilities

  /**
   * The identity of the medium itself, such as a volume or a bucket. Another medium found under the same configuration has another
   * identity; a blank one is given a new one. Final once `open` has resolved. `undefined` if nothing tells media apart.
   */
  get medium(): string | undefined {
    return undefined
  }

  /**
   * Where the medium is, derived without asking it: from the options and, for a path on this machine, from its links. The store
   * refuses two backends if one's address equals or contains the other's, because one blob would count as two copies.
   *
   * Must be the same before and after `open`, and must never wait, even while the medium is away. `undefined` if nothing is known.
   */
  get address(): Address | undefined {
    return undefined
  }

  /**
   * Connects and probes. Called once before the first operation.
   *
   * Must be safe to repeat. May make what is missing, unless `context.medium` is given.
   *
   * @example
   * ```ts
   * await backend.open?.({ signal, log: ({ level, message }) => console.error(level, message) })
   * ```
   * @throws {StorageError} UNAVAILABLE if `context.medium` is given and that medium is not there. Nothing is made in its place.
   */
  open?(context: OpenContext): Promise<void>

  /**
   * Makes later calls use new connections. The caller suspects that bytes were read wrong, and reads them again over another
   * connection before it calls the blob damaged.
   *
   * Must let calls in progress keep their connections and end as they would have. May be absent if the driver keeps no
   * connections open.
   *
   * @example
   * ```ts
   * await backend.reconnect?.()
   * ```
   */
  reconnect?(): void | Promise<void>

  /**
   * Stores `body` under `key`, replacing the blob already there.
   *
   * - Must be atomic. Until it resolves, `stat`, `get` and `list` answer as before. If it rejects, the former blob stays, and nothing
   *   half-written is visible to anyone.
   * - Must be durable once it resolves, as far as the medium allows.
   * - Must be safe to repeat, conditions apart.
   * - Must reject with what `body` throws, unchanged: a source that fails, often with SOURCE_FAILED, says nothing about the medium.
   * - May reject concurrent puts of one key with CONFLICT. What remains is the blob of one that resolved.
   * - May report a failure as `ambiguous` if the write may have landed.
   *
   * @param body Read once, front to back. May be empty, and may throw.
   * @returns What was stored.
   * @example
   * ```ts
   * const stored = await backend.put('greetings/en.txt', bytesOf('hello'), { signal, size: 5 })
   * equal(stored.size, 5)
   *
   * const again = backend.put('greetings/en.txt', bytesOf('hi'), { signal, ifAbsent: true })
   * await rejects(again, { code: 'ALREADY_EXISTS' })
   * ```
   * @throws {StorageError} ALREADY_EXISTS with `ifAbsent` if the key is taken · PRECONDITION_FAILED with `ifMatch` if the etag
   *   differs or the blob is absent · KEY_CONFLICT if something else is in the way · NO_SPACE · TOO_LARGE.
   */
  abstract put(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat>

  /**
   * Opens a blob for reading.
   *
   * - Must reject with NOT_FOUND before it returns, not while the body is read.
   * - Must report the size of the whole blob in `stat`, even for a range.
   * - Must throw from a body that cannot be read to its end. A body never just stops.
   * - Must give a reader the bytes of one blob, never a mix. If the blob is overwritten, the body yields the former bytes to their
   *   end or throws CONFLICT. If it is deleted, the body may also throw NOT_FOUND.
   *
   * @example
   * ```ts
   * const { stat, body } = await backend.get('greetings/en.txt', { signal, offset: 1, length: 3 })
   * equal(await textOf(body), 'ell')
   * equal(stat.size, 5)
   * ```
   * @throws {StorageError} NOT_FOUND · PRECONDITION_FAILED with `ifMatch`.
   */
  abstract get(key: string, options: GetOptions): Promise<GetResult>

  /**
   * Reports what is known about a blob without reading it.
   *
   * Must return `null` only if the blob is certainly absent; must reject if that is unknown.
   *
   * @example
   * ```ts
   * equal((await backend.stat('greetings/en.txt', { signal }))?.size, 5)
   * equal(await backend.stat('greetings', { signal }), null) // a prefix is not a blob
   * ```
   */
  abstract stat(key: string, options: Op): Promise<Stat | null>

  /**
   * Removes a blob.
   *
   * Must resolve if the blob is absent: a retry must not fail after its own success.
   *
   * @example
   * ```ts
   * await backend.put('draft.txt', bytesOf('old'), { signal })
   * await backend.delete('draft.txt', { signal })
   * await backend.delete('draft.txt', { signal })
   * ```
   * @throws {StorageError} PRECONDITION_FAILED with `ifMatch`.
   */
  abstract delete(key: string, options: DeleteOptions): Promise<void>

  /**
   * Lists the blobs whose key starts with `prefix`.
   *
   * - Must yield each key that is present throughout exactly once, even if it is overwritten. So begin a page after the last key
   *   of the page before, which may be gone by then, not after a count of entries.
   * - Must yield a key that appears or disappears during the listing once or not at all.
   * - Must use bounded memory.
   * - Must free what it holds if the caller ends the iteration early.
   * - May yield in any order, unless `capabilities.order` is declared.
   *
   * @example
   * ```ts
   * await backend.put('greetings/fr.txt', bytesOf('salut'), { signal })
   * const keys = await Array.fromAsync(backend.list({ signal, prefix: 'greetings/' }), ({ key }) => key)
   * deepEqual(keys, ['greetings/en.txt', 'greetings/fr.txt'])
   * ```
   */
  abstract list(options: ListOptions): AsyncIterable<Stat>

  /**
   * Copies a blob within the medium, replacing what is at `to` as `put` does. Only with `capabilities.copy`. For outer packages: the store
   * does not call it.
   *
   * - Must copy bytes, content type and metadata. Later changes of one blob do not affect the other.
   * - Must change nothing if `from` and `to` are equal.
   *
   * @example
   * ```ts
   * await backend.copy('greetings/en.txt', 'greetings/en-GB.txt', { signal })
   * ```
   * @throws {StorageError} NOT_FOUND if there is no blob at `from`. What is at `to` stays.
   */
  copy?(from: string, to: string, options: Op): Promise<Stat>

  /**
   * Removes many blobs. Only with `capabilities.deleteMany`. For outer packages: the store does not call it.
   *
   * Must take any number of keys: none, or the same one twice. An absent blob is not a failure.
   *
   * @returns The failures, by key. Every other key is gone.
   * @example
   * ```ts
   * const failures = await backend.deleteMany(['greetings/en-GB.txt', 'absent.txt'], { signal })
   * equal(failures.size, 0)
   * ```
   */
  deleteMany?(keys: readonly string[], options: Op): Promise<Map<string, StorageError>>

  /**
   * Makes a URL that reads or writes one blob without further credentials. Only with `capabilities.signedUrl`. For
   * outer packages: the store does not call it.
   *
   * May reject with UNSUPPORTED for a method that the medium cannot sign.
   *
   * @example
   * ```ts
   * const url = await backend.signedUrl('greetings/en.txt', { signal, method: 'GET', expiresMs: 60_000 })
   * equal(await (await fetch(url)).text(), 'hello')
   * ```
   */
  signedUrl?(key: string, options: Op & { method: 'GET' | 'PUT'; expiresMs: number }): Promise<string>

  /**
   * Reports changes until it is aborted, including those that others make. Only with `capabilities.watch`. For outer
   * packages: the store does not call it.
   *
   * - Must report a put once its blob is whole, and nothing about a put that fails.
   * - Must report an overwrite as a put, without a delete.
   * - Must yield `overflow` if it may have missed a change.
   * - Must reject soon after an abort: this is how a watch ends.
   *
   * @example
   * ```ts
   * const changes = backend.watch({ signal, prefix: 'inbox/' })
   * const change = changes.next()
   * await backend.put('inbox/1.txt', bytesOf('hello'), { signal })
   * deepEqual((await change).value, { type: 'put', key: 'inbox/1.txt' })
   * await changes.return()
   * ```
   */
  watch?(options: Op & { prefix?: string }): AsyncIterable<WatchEvent>

  /**
   * Removes debris that puts of this driver left behind, if it is at least as old as asked. Only with `capabilities.sweep`.
   *
   * - Must never remove a blob, or anything that a put of this instance is still writing.
   * - May tell the puts of other processes from debris by age alone.
   *
   * @returns The number of pieces removed.
   * @example
   * ```ts
   * equal(await backend.sweep({ signal, olderThanMs: 24 * 60 * 60 * 1000 }), 0)
   * ```
   */
  sweep?(options: Op & { olderThanMs: number }): Promise<number>

  /**
   * Closes the backend.
   *
   * - Must end calls in progress within 5 s.
   * - Must make later calls reject with CLOSED.
   * - Must be safe to repeat.
   *
   * @example
   * ```ts
   * await backend.close()
   * await rejects(backend.stat('greetings/en.txt', { signal }), { code: 'CLOSED' })
   * ```
   */
  close?(): Promise<void>
}

/**
 * Creates a backend from its options in a configuration. A driver's package exports this function as `driver`.
 *
 * Must check its options (`checkOptions`) and throw INVALID_ARGUMENT. Must not do I/O.
 *
 * The module may also export two lists of option names:
 * - `secrets: readonly string[]`: options that take a `Secret`. If the configuration refers to one (`{ env }`, `{ file }`), the
 *   driver receives a function that reads it again on every call. Secrets are masked in everything people are shown.
 * - `paths: readonly string[]`: options that hold a path on this machine. A relative path in a configuration file starts from
 *   the directory of that file.
 *
 * @example
 * ```ts
 * import type { Driver } from '@stored/core/backend'
 *
 * export const driver: Driver = (options) => new MemoryBackend(options)
 * ```
 */
export type Driver = (options: Readonly<Record<string, unknown>>) => StorageBackend
