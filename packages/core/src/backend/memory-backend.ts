import { createHash, randomUUID } from 'node:crypto'
import type { Address } from './address.ts'
import {
  type DeleteOptions,
  type GetOptions,
  type GetResult,
  type ListOptions,
  type Op,
  type PutOptions,
  type Stat,
  StorageBackend,
  type WatchEvent,
} from './contract.ts'
import { StorageError, type StorageErrorCode } from './error.ts'
import { compareKeys } from './keys.ts'

/** One blob in memory. Immutable: an overwrite replaces it, so readers keep what they opened. */
export interface MemoryBlob {
  readonly stat: Stat
  readonly bytes: Uint8Array
}

/** What arrived of an unfinished put. */
interface Arrived {
  readonly key: string
  readonly size: number
  readonly sha256: string | undefined
  /** When its put began, in milliseconds since the epoch. */
  readonly begun: number
  readonly chunks: Uint8Array[]
}

/** The memory that holds the blobs. Backends that share one see the same blobs. */
export class MemoryPlace {
  /** Unique to this place. */
  readonly id = randomUUID()
  readonly blobs = new Map<string, MemoryBlob>()
  readonly watchers = new Set<(event: WatchEvent) => void>()
  /** Unfinished puts that can be resumed, by checkpoint. */
  readonly arrived = new Map<string, Arrived>()
  #version = 0

  /** An etag that this place has not used before. */
  nextEtag(): string {
    this.#version += 1
    return String(this.#version)
  }

  notify(event: WatchEvent): void {
    for (const watcher of this.watchers) watcher(event)
  }
}

/** Options of MemoryBackend. */
export interface MemoryBackendOptions {
  /** Where the blobs are kept. @default a place of its own */
  readonly place?: MemoryPlace
}

/** How many events a watcher may fall behind before it receives an overflow. */
const MAX_EVENTS = 1024

/**
 * Blobs in memory, gone with the process. It has every capability and is the plainest reading of the contract: if in
 * doubt, a driver should behave as this one does.
 */
export class MemoryBackend extends StorageBackend {
  readonly name: string = 'memory'
  readonly capabilities = Object.freeze({
    contract: 1,
    range: true,
    ifAbsent: true,
    ifMatch: true,
    atomicOverwrite: true,
    order: true,
    startAfter: true,
    checksums: Object.freeze(['sha256', 'sha1', 'md5'] as const),
    contentType: true,
    metadata: true,
    resume: true,
    copy: true,
    deleteMany: true,
    signedUrl: true,
    watch: true,
    sweep: true,
    local: true,
    etag: 'strong',
  } as const)
  protected readonly place: MemoryPlace
  #closed = false

  override get address(): Address {
    return { host: 'memory', path: `${this.place.id}/` }
  }

  constructor({ place = new MemoryPlace() }: MemoryBackendOptions = {}) {
    super()
    this.place = place
  }

  async put(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat> {
    this.begin('put', key, options)
    const checkpoint = this.goesOnFrom(key, options) ?? randomUUID()
    const bytes = await this.collect(key, this.keeping(key, body, options, checkpoint), options)
    this.place.arrived.delete(checkpoint)
    // Nothing waits from here to the end, so the conditions and the change are one step.
    if (options.ifAbsent && this.place.blobs.has(key)) throw this.error('ALREADY_EXISTS', 'put', key)
    this.checkMatch('put', key, options.ifMatch)
    return this.commit(key, bytes, options)
  }

  async get(key: string, options: GetOptions): Promise<GetResult> {
    this.begin('get', key, options)
    const blob = this.place.blobs.get(key)
    if (blob === undefined) throw this.error('NOT_FOUND', 'get', key)
    this.checkMatch('get', key, options.ifMatch)
    const { offset = 0, length = Number.POSITIVE_INFINITY } = options
    if (offset > 0 && offset >= blob.bytes.byteLength) throw this.error('RANGE_NOT_SATISFIABLE', 'get', key)
    return { stat: blob.stat, body: this.read(key, blob.bytes.subarray(offset, offset + length), options) }
  }

  async stat(key: string, options: Op): Promise<Stat | null> {
    this.begin('stat', key, options)
    return this.place.blobs.get(key)?.stat ?? null
  }

  async delete(key: string, options: DeleteOptions): Promise<void> {
    this.begin('delete', key, options)
    this.checkMatch('delete', key, options.ifMatch)
    if (this.place.blobs.delete(key)) this.place.notify({ type: 'delete', key })
  }

  async *list(options: ListOptions): AsyncGenerator<Stat, void, void> {
    const { prefix, startAfter } = options
    for (const key of [...this.place.blobs.keys()].sort(compareKeys)) {
      this.begin('list', undefined, options)
      if (!key.startsWith(prefix)) continue
      if (startAfter !== undefined && compareKeys(key, startAfter) <= 0) continue
      const blob = this.place.blobs.get(key)
      if (blob !== undefined) yield blob.stat
    }
  }

  override async close(): Promise<void> {
    this.#closed = true
  }

  override async copy(from: string, to: string, options: Op): Promise<Stat> {
    this.begin('copy', from, options)
    const blob = this.place.blobs.get(from)
    if (blob === undefined) throw this.error('NOT_FOUND', 'copy', from)
    return this.commit(to, blob.bytes, blob.stat)
  }

  override async deleteMany(keys: readonly string[], options: Op): Promise<Map<string, StorageError>> {
    for (const key of keys) await this.delete(key, options)
    return new Map()
  }

  /** A `data:` URL of the current blob. It does not expire, and there is none for PUT. @see RFC 2397 */
  override async signedUrl(key: string, options: Op & { method: 'GET' | 'PUT'; expiresMs: number }): Promise<string> {
    this.begin('signedUrl', key, options)
    if (options.method === 'PUT') throw this.error('UNSUPPORTED', 'signedUrl', key)
    const blob = this.place.blobs.get(key)
    if (blob === undefined) throw this.error('NOT_FOUND', 'signedUrl', key)
    const type = blob.stat.contentType ?? 'application/octet-stream'
    return `data:${type};base64,${Buffer.from(blob.bytes).toString('base64')}`
  }

  override async *watch(options: Op & { prefix?: string }): AsyncGenerator<WatchEvent, void, void> {
    const { signal, prefix = '' } = options
    let events: WatchEvent[] = []
    let wake = Promise.withResolvers<void>()
    const onEvent = (event: WatchEvent): void => {
      if (event.type !== 'overflow' && !event.key.startsWith(prefix)) return
      events = events.length < MAX_EVENTS ? [...events, event] : [{ type: 'overflow' }]
      wake.resolve()
    }
    const onAbort = (): void => wake.resolve()
    this.place.watchers.add(onEvent)
    signal.addEventListener('abort', onAbort)
    try {
      while (true) {
        this.begin('watch', undefined, options)
        await wake.promise
        wake = Promise.withResolvers()
        signal.throwIfAborted()
        yield* events.splice(0)
      }
    } finally {
      this.place.watchers.delete(onEvent)
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** Removes abandoned puts. Puts of other instances that are that old are removed with them. */
  override async sweep(options: Op & { olderThanMs: number }): Promise<number> {
    this.begin('sweep', undefined, options)
    const old = [...this.place.arrived].filter(([, { begun }]) => Date.now() - begun >= options.olderThanMs)
    for (const [checkpoint] of old) this.place.arrived.delete(checkpoint)
    return old.length
  }

  /** Starts every operation, and each step of a long one. */
  protected begin(op: string, key: string | undefined, { signal }: Op): void {
    signal.throwIfAborted()
    if (this.#closed) throw this.error('CLOSED', op, key)
  }

  protected async collect(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Uint8Array> {
    const chunks: Uint8Array[] = []
    let sent = 0
    for await (const chunk of body) {
      this.begin('put', key, options)
      chunks.push(Uint8Array.from(chunk)) // a copy: the source may reuse its buffer
      sent += chunk.byteLength
      options.onSent?.(sent)
    }
    return Buffer.concat(chunks)
  }

  /** The checkpoint passed to a put, if the chunks received with it still exist and belong to the same blob. */
  protected goesOnFrom(key: string, { checkpoint = '', size, sha256 }: PutOptions): string | null {
    const arrived = this.place.arrived.get(checkpoint)
    const isSame = arrived?.key === key && arrived.size === size && arrived.sha256 === sha256
    return isSame ? checkpoint : null
  }

  /**
   * Yields the chunks of `body` and keeps them in the place until all have arrived, for a put that can be resumed.
   * Chunks that arrived earlier are compared and not kept a second time.
   */
  protected async *keeping(
    key: string,
    body: AsyncIterable<Uint8Array>,
    { size = 0, sha256, onCheckpoint }: PutOptions,
    checkpoint: string,
  ): AsyncGenerator<Uint8Array, void, void> {
    const former = this.place.arrived.get(checkpoint)
    const before = Buffer.concat(former?.chunks ?? [])
    const arrived: Arrived = { key, size, sha256, begun: Date.now(), chunks: [] }
    let sent = 0
    for await (const chunk of body) {
      const same = before.subarray(sent, sent + chunk.byteLength)
      const kept = same.equals(chunk) ? same : chunk
      sent += chunk.byteLength
      // If the first chunk is the whole blob, there is nothing to resume.
      if (onCheckpoint && sent < size) {
        arrived.chunks.push(Uint8Array.from(kept))
        this.place.arrived.set(checkpoint, arrived)
        if (former === undefined && arrived.chunks.length === 1) await onCheckpoint(checkpoint)
      }
      yield kept
    }
  }

  protected checkMatch(op: string, key: string, ifMatch: string | undefined): void {
    if (ifMatch === undefined || this.place.blobs.get(key)?.stat.etag === ifMatch) return
    throw this.error('PRECONDITION_FAILED', op, key)
  }

  protected commit(
    key: string,
    bytes: Uint8Array,
    { contentType, metadata }: Pick<Stat, 'contentType' | 'metadata'>,
  ): Stat {
    const etag = this.place.nextEtag()
    const stat: Stat = Object.freeze({
      key,
      size: bytes.byteLength,
      modified: Date.now(),
      etag,
      fingerprint: etag,
      checksums: { sha256: digest('sha256', bytes), sha1: digest('sha1', bytes), md5: digest('md5', bytes) },
      ...(contentType !== undefined && { contentType }),
      ...(metadata !== undefined && { metadata: { ...metadata } }),
    })
    this.place.blobs.set(key, { stat, bytes })
    this.place.notify({ type: 'put', key })
    return stat
  }

  protected async *read(key: string, bytes: Uint8Array, options: Op): AsyncGenerator<Uint8Array, void, void> {
    for (let offset = 0; offset < bytes.byteLength; offset += 65_536) {
      this.begin('get', key, options)
      // A copy, so that a reader cannot change the blob.
      yield Buffer.from(bytes.subarray(offset, offset + 65_536))
    }
  }

  protected error(code: StorageErrorCode, op: string, key: string | undefined): StorageError {
    return new StorageError(code, { backend: this.name, op, key })
  }
}

function digest(algorithm: string, bytes: Uint8Array): string {
  return createHash(algorithm).update(bytes).digest('hex')
}
