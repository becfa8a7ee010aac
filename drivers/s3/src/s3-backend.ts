import type { Readable } from 'node:stream'
import { inspect } from 'node:util'
import {
  AbortMultipartUploadCommand,
  CopyObjectCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadObjectCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import {
  type Address,
  type Capabilities,
  type DeleteOptions,
  type ErrorLocation,
  type GetOptions,
  type GetResult,
  type ListOptions,
  type LogEvent,
  type Op,
  type OpenContext,
  type PutOptions,
  type Stat,
  StorageBackend,
  StorageError,
} from '@stored/core/backend'
import { addressOf } from './address.ts'
import { ObjectBody } from './body.ts'
import { type Call, Client } from './client.ts'
import { signingTime } from './clock.ts'
import { notS3Of, toS3Error } from './errors.ts'
import { isDirectoryBucket, presetOf } from './flavors.ts'
import { listObjects, listUploads } from './listing.ts'
import { Memory } from './memory.ts'
import { parseOptions, type S3BackendOptions, type Settings } from './options.ts'
import { UNKNOWN_PART_BYTES } from './parts.ts'
import { type Conditions, probeConditions } from './probe.ts'
import { putObject } from './put.ts'
import { readSource } from './source.ts'
import { toStat } from './stat.ts'

/** Concurrent operations. */
const MAX_CONCURRENT = 16
/** Full parts in memory, over all puts. */
const MAX_PARTS = 5
const CLOSE_MS = 5_000
const MAX_KEY_BYTES = 1024
/** With parts of 553 MiB, a few of which are in memory. */
const MAX_SIZE = 5 * 2 ** 40
const WEEK_MS = 7 * 24 * 3_600_000
/** The limit of one request. */
const MOST_DELETES = 1_000

/** Blobs as objects of an S3 bucket. */
export class S3Backend extends StorageBackend {
  readonly name = 's3'
  readonly #settings: Settings
  readonly #client: Client
  readonly #closing = new AbortController()
  readonly #running = new Set<Promise<unknown>>()
  readonly #memory: Memory
  readonly #largeMemory: Memory
  readonly #live = new Set<string>()
  #log: (event: LogEvent) => void = () => {}
  #capabilities: Capabilities
  #opening: Promise<void> | undefined
  #isOpen = false
  /** Some services refuse to delete many at once. */
  #deletesMany = true

  constructor(options: S3BackendOptions) {
    super()
    this.#settings = parseOptions(options)
    this.#client = new Client(this.#settings, MAX_CONCURRENT + MAX_PARTS)
    const { partSize } = this.#settings
    this.#memory = new Memory(MAX_PARTS * partSize)
    this.#largeMemory = new Memory(Math.max(UNKNOWN_PART_BYTES, partSize))
    this.#capabilities = capabilitiesOf(this.#settings, { ifAbsent: true, ifMatch: true })
  }

  override get address(): Address {
    return addressOf(this.#settings)
  }

  get capabilities(): Capabilities {
    return this.#capabilities
  }

  override open(context: OpenContext): Promise<void> {
    this.#opening ??= this.#open(context).catch((error) => {
      this.#opening = undefined
      throw error
    })
    return this.#opening
  }

  put(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat> {
    return this.#run('put', key, options, async (call) => {
      const context = {
        client: this.#client,
        partSize: this.#settings.partSize,
        memory: this.#memory,
        largeMemory: this.#largeMemory,
        keepsSha256: presetOf(this.#settings.flavor).keepsSha256,
        live: this.#live,
        log: this.#log,
        look: (at: Call) => this.#stat(key, at),
      }
      const name = this.#nameOf(key, call.at)
      return { key, ...(await putObject(context, name, readSource(body, call.signal, call.at), options, call)) }
    })
  }

  get(key: string, options: GetOptions): Promise<GetResult> {
    return this.#run('get', key, options, async (call) => {
      const { offset = 0, length, ifMatch } = options
      const isWhole = offset === 0 && length === undefined
      const found = await this.#client.send(
        new GetObjectCommand({
          ...this.#target(key, call.at),
          ...(!isWhole && { Range: `bytes=${offset}-${length === undefined ? '' : offset + length - 1}` }),
          ...(ifMatch !== undefined && { IfMatch: ifMatch }),
        }),
        call,
      )
      const signals = [options.signal, this.#closing.signal]
      return { stat: toStat(key, found), body: new ObjectBody(streamOf(found), signals, call.at) }
    })
  }

  stat(key: string, options: Op): Promise<Stat | null> {
    return this.#run('stat', key, options, (call) => this.#stat(key, call))
  }

  delete(key: string, options: DeleteOptions): Promise<void> {
    return this.#run('delete', key, options, async (call) => {
      const { ifMatch } = options
      const condition = ifMatch !== undefined && { IfMatch: ifMatch }
      try {
        await this.#client.send(new DeleteObjectCommand({ ...this.#target(key, call.at), ...condition }), call)
      } catch (error) {
        if (!isAbsence(error)) throw error
        if (ifMatch !== undefined) throw new StorageError('PRECONDITION_FAILED', call.at, { cause: error })
      }
    })
  }

  async *list(options: ListOptions): AsyncGenerator<Stat, void, void> {
    const at = { backend: this.name, op: 'list' }
    using calls = this.#begin(at, options.signal)
    try {
      for await (const stat of listObjects(this.#client, this.#settings.prefix, options, calls)) {
        yield stat
        calls.signal.throwIfAborted()
      }
    } catch (error) {
      throw toS3Error(error, at, calls.signal)
    }
  }

  override copy(from: string, to: string, options: Op): Promise<Stat> {
    return this.#run('copy', from, options, async (call) => {
      if (from === to) return this.#existing(from, call)
      const { Bucket, Key } = this.#target(from, call.at)
      const CopySource = `${Bucket}/${Key.split('/').map(encodeURIComponent).join('/')}`
      const target = this.#target(to, { ...call.at, key: to })
      await this.#client.send(new CopyObjectCommand({ ...target, CopySource }), { ...call, isWrite: true })
      const stat = await this.#stat(to, call)
      if (stat === null) throw new StorageError('CONFLICT', call.at, { detail: 'the copy was removed during the call' })
      return stat
    })
  }

  override deleteMany(keys: readonly string[], options: Op): Promise<Map<string, StorageError>> {
    return this.#run('deleteMany', undefined, options, async (call) => {
      const failures = new Map<string, StorageError>()
      for (let at = 0; at < keys.length; at += MOST_DELETES)
        await this.#deleteSome(keys.slice(at, at + MOST_DELETES), failures, call)
      return failures
    })
  }

  override signedUrl(key: string, options: Op & { method: 'GET' | 'PUT'; expiresMs: number }): Promise<string> {
    return this.#run('signedUrl', key, options, async (call) => {
      const { method, expiresMs } = options
      if (expiresMs > WEEK_MS)
        throw new StorageError('INVALID_ARGUMENT', call.at, { detail: 'a signed URL is valid for a week at most' })
      const target = this.#target(key, call.at)
      const command = method === 'GET' ? new GetObjectCommand(target) : new PutObjectCommand(target)
      const expiresIn = Math.ceil(expiresMs / 1000)
      return this.#client.use(
        (s3) => getSignedUrl(s3, command, { expiresIn, signingDate: new Date(signingTime(s3)) }),
        call,
      )
    })
  }

  override sweep(options: Op & { olderThanMs: number }): Promise<number> {
    return this.#run('sweep', undefined, options, async (call) => {
      const { prefix } = this.#settings
      const before = Date.now() - options.olderThanMs
      let count = 0
      for await (const { name, uploadId, begun } of listUploads(this.#client, prefix, call)) {
        if (begun > before || this.#live.has(uploadId)) continue
        const upload = { Bucket: this.#client.bucket, Key: name, UploadId: uploadId }
        await this.#client.send(new AbortMultipartUploadCommand(upload), call).catch((error) => {
          if (!isAbsence(error)) throw error
        })
        count++
      }
      return count
    })
  }

  override reconnect(): void {
    this.#client.reconnect()
  }

  override async close(): Promise<void> {
    this.#closing.abort(new StorageError('CLOSED', { backend: this.name, op: 'close' }))
    const patience = Promise.withResolvers<void>()
    const timer = setTimeout(patience.resolve, CLOSE_MS)
    await Promise.race([Promise.allSettled(this.#running), patience.promise])
    clearTimeout(timer)
    this.#client.close()
  }

  /** Shows where the blobs are, and nothing secret. */
  [inspect.custom](): string {
    const { bucket, endpoint = 'AWS', prefix } = this.#settings
    return `S3Backend { ${endpoint} ${bucket}/${prefix} }`
  }

  async #open({ log, signal }: OpenContext): Promise<void> {
    const at = { backend: this.name, op: 'open' }
    if (this.#closing.signal.aborted) throw new StorageError('CLOSED', at)
    using call = this.#begin(at, signal ?? new AbortController().signal, true)
    this.#log = log
    const conditions = await probeConditions(this.#client, this.#settings.prefix, call).catch((error) => {
      throw misdirected(error, at) ?? error
    })
    this.#capabilities = capabilitiesOf(this.#settings, conditions)
    this.#isOpen = true
  }

  /** The result of a copy onto its own key: S3 refuses a copy that changes nothing. */
  async #existing(key: string, call: Call): Promise<Stat> {
    const stat = await this.#stat(key, call)
    if (stat === null) throw new StorageError('NOT_FOUND', call.at)
    return stat
  }

  async #stat(key: string, call: Call): Promise<Stat | null> {
    const checksums = presetOf(this.#settings.flavor).keepsSha256 && ({ ChecksumMode: 'ENABLED' } as const)
    try {
      const command = new HeadObjectCommand({ ...this.#target(key, call.at), ...checksums })
      return toStat(key, await this.#client.send(command, call))
    } catch (error) {
      if (!saysNothing(error)) throw error
      return this.#statByGet(key, call)
    }
  }

  /**
   * A response without a body does not explain a failure; that of a GET does, and tells NoSuchBucket from
   * InvalidAccessKeyId.
   */
  async #statByGet(key: string, call: Call): Promise<Stat | null> {
    try {
      const found = await this.#client.send(
        new GetObjectCommand({ ...this.#target(key, call.at), Range: 'bytes=0-0' }),
        call,
      )
      streamOf(found).destroy()
      return toStat(key, found)
    } catch (error) {
      if (isAbsence(error)) return null
      // An empty blob that has appeared since.
      if (StorageError.is(error) && error.code === 'RANGE_NOT_SATISFIABLE')
        throw new StorageError('CONFLICT', call.at, { cause: error })
      throw error
    }
  }

  async #deleteSome(keys: readonly string[], failures: Map<string, StorageError>, call: Call): Promise<void> {
    if (this.#deletesMany) {
      try {
        return await this.#deleteAtOnce(keys, failures, call)
      } catch (error) {
        if (!StorageError.is(error) || !['UNSUPPORTED', 'INVALID_ARGUMENT'].includes(error.code)) throw error
        this.#deletesMany = false
      }
    }
    for (let at = 0; at < keys.length; at += MAX_CONCURRENT)
      await Promise.all(
        keys.slice(at, at + MAX_CONCURRENT).map(async (key) => {
          const location = { ...call.at, key }
          const command = new DeleteObjectCommand(this.#target(key, location))
          await this.#client.send(command, { ...call, at: location }).catch((error) => {
            if (call.signal.aborted) throw error
            if (!isAbsence(error)) failures.set(key, error)
          })
        }),
      )
  }

  async #deleteAtOnce(keys: readonly string[], failures: Map<string, StorageError>, call: Call): Promise<void> {
    const { prefix } = this.#settings
    const Objects = keys.map((key) => ({ Key: this.#nameOf(key, { ...call.at, key }) }))
    const command = new DeleteObjectsCommand({ Bucket: this.#client.bucket, Delete: { Objects, Quiet: true } })
    const { Errors = [] } = await this.#client.send(command, call)
    for (const { Key = '', Code = 'InternalError', Message = '' } of Errors) {
      const key = Key.slice(prefix.length)
      if (Code === 'NoSuchKey') continue
      const $metadata = { httpStatusCode: Code === 'AccessDenied' ? 403 : 500 }
      const cause = Object.assign(new Error(Message), { name: Code, $metadata })
      failures.set(key, toS3Error(cause, { ...call.at, key }))
    }
  }

  #target(key: string, at: ErrorLocation): { Bucket: string; Key: string } {
    return { Bucket: this.#client.bucket, Key: this.#nameOf(key, at) }
  }

  #nameOf(key: string, at: ErrorLocation): string {
    const name = this.#settings.prefix + key
    if (name.length * 3 > MAX_KEY_BYTES && Buffer.byteLength(name) > MAX_KEY_BYTES)
      throw new StorageError('INVALID_KEY', at, { detail: `with its prefix it is longer than ${MAX_KEY_BYTES} bytes` })
    return name
  }

  /** A call whose signal aborts with `signal` and with the backend, until it is disposed. */
  #begin(at: ErrorLocation, signal: AbortSignal, isOpening = false): Call & Disposable {
    const closing = this.#closing.signal
    if (closing.aborted) throw new StorageError('CLOSED', at)
    if (!this.#isOpen && !isOpening) throw new StorageError('MISCONFIGURED', at, { detail: 'call open() first' })
    const controller = new AbortController()
    const onAbort = (): void => controller.abort(signal.aborted ? signal.reason : closing.reason)
    for (const source of [signal, closing]) source.addEventListener('abort', onAbort)
    if (signal.aborted) onAbort()
    return {
      at,
      signal: controller.signal,
      [Symbol.dispose]: () => {
        for (const source of [signal, closing]) source.removeEventListener('abort', onAbort)
      },
    }
  }

  async #run<T>(op: string, key: string | undefined, { signal }: Op, work: (call: Call) => Promise<T>): Promise<T> {
    const at = { backend: this.name, op, key }
    using call = this.#begin(at, signal)
    const running = work(call)
    this.#running.add(running)
    try {
      return await running
    } catch (error) {
      throw toS3Error(error, at, call.signal)
    } finally {
      this.#running.delete(running)
    }
  }
}

/** Whether a response to HEAD, which has no body, is ambiguous. */
function saysNothing(error: unknown): boolean {
  const codes = ['PERMISSION_DENIED', 'INVALID_ARGUMENT', 'MISCONFIGURED']
  if (!StorageError.is(error)) return false
  // If responses carry no request id, only their body identifies the service. A service too busy for HEAD is too busy
  // for GET.
  const { status = 0 } = notS3Of(error) ?? {}
  return codes.includes(error.code) || (error.code === 'UNAVAILABLE' && status >= 300 && status < 500)
}

/** Before S3 has ever answered, a server in its place may be a wrong endpoint. */
function misdirected(error: unknown, at: ErrorLocation): StorageError | null {
  const cause = notS3Of(error)
  if (cause === null || cause.status >= 500 || (error as StorageError).code !== 'UNAVAILABLE') return null
  const detail = `what answers at the endpoint is not S3 (${cause.message}): a login page, a proxy, or a wrong endpoint`
  return new StorageError('MISCONFIGURED', at, { cause, detail })
}

function isAbsence(error: unknown): boolean {
  return StorageError.is(error) && error.code === 'NOT_FOUND'
}

function streamOf({ Body }: GetObjectCommandOutput): Readable {
  return Body as Readable
}

function capabilitiesOf({ bucket, flavor, prefix, partSize }: Settings, conditions: Conditions): Capabilities {
  const isOrdered = !isDirectoryBucket(bucket)
  return Object.freeze<Capabilities>({
    contract: 1,
    range: true,
    ...conditions,
    order: isOrdered,
    startAfter: isOrdered,
    contentType: true,
    resume: true,
    copy: true,
    deleteMany: true,
    signedUrl: true,
    sweep: true,
    etag: 'strong',
    keys: Object.freeze({
      fileAndPrefix: presetOf(flavor).fileAndPrefix,
      maxBytes: MAX_KEY_BYTES - Buffer.byteLength(prefix),
    }),
    limits: Object.freeze({ maxSize: MAX_SIZE, partSize, maxConcurrent: MAX_CONCURRENT }),
  })
}
