import {
  type Capabilities,
  checkKey,
  checkOptions,
  compareKeys,
  type DeleteOptions,
  type ErrorLocation,
  type GetOptions,
  type GetResult,
  is,
  type ListOptions,
  needed,
  type Op,
  type OptionRulesOf,
  type PutOptions,
  type Stat,
  StorageBackend,
  StorageError,
} from '@stored/core/backend'

export interface AcmeBackendOptions {
  /** The bucket. Instances with the same bucket see the same blobs. */
  readonly bucket: string
}

interface Blob {
  readonly stat: Stat
  readonly bytes: Uint8Array
}

/** Stands in for your service: its content outlives an instance, and every instance sees it. */
const buckets = new Map<string, Map<string, Blob>>()
let version = 0

const CHUNK_BYTES = 65_536

/** The rule, default and text of each option. An option without an entry does not compile. */
export const OPTIONS = {
  bucket: needed({
    ...is.text,
    expected: 'the name of a bucket',
    doc: 'The bucket. Instances with the same bucket see the same blobs.',
  }),
} as const satisfies OptionRulesOf<AcmeBackendOptions>

/** Called before connecting to anything. @throws {StorageError} INVALID_ARGUMENT, naming the option and its type. */
export function parseOptions(options: unknown): AcmeBackendOptions {
  return checkOptions(options as AcmeBackendOptions, OPTIONS, { backend: 'acme', op: 'constructor' })
}

/** Blobs in acme. */
export class AcmeBackend extends StorageBackend {
  readonly name = 'acme'
  /** Declare only what your service itself does, atomically: the guard refuses or emulates the rest. */
  readonly capabilities: Capabilities = Object.freeze({ contract: 1, range: true, order: true, etag: 'strong' })
  readonly #blobs: Map<string, Blob>
  #isClosed = false

  constructor(options: AcmeBackendOptions) {
    super()
    const { bucket } = parseOptions(options)
    this.#blobs = buckets.get(bucket) ?? new Map()
    buckets.set(bucket, this.#blobs)
  }

  /** Upload to a hidden place, then publish in one step. A failure before that leaves nothing visible. */
  async put(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat> {
    const at = this.#begin('put', key, options)
    const chunks: Uint8Array[] = []
    for await (const chunk of body) {
      this.#check(at, options)
      // A copy: the source may reuse its buffer.
      chunks.push(Uint8Array.from(chunk))
    }
    // Aborted or closed at the last moment: not stored.
    this.#check(at, options)
    const bytes = Buffer.concat(chunks)
    const stat = { key, size: bytes.length, modified: Date.now(), etag: `${++version}` }
    this.#blobs.set(key, { stat, bytes })
    return stat
  }

  /** Reject with NOT_FOUND here, not in the body. `stat.size` is the size of the whole blob, even for a range. */
  async get(key: string, options: GetOptions): Promise<GetResult> {
    const at = this.#begin('get', key, options)
    const blob = this.#blobs.get(key)
    if (blob === undefined) throw new StorageError('NOT_FOUND', at)
    const { offset = 0, length = Number.POSITIVE_INFINITY } = options
    return { stat: blob.stat, body: this.#read(blob.bytes.subarray(offset, offset + length), at, options) }
  }

  /** `null` means that the blob is certainly absent. Anything uncertain, such as a 403, is an error. */
  async stat(key: string, options: Op): Promise<Stat | null> {
    this.#begin('stat', key, options)
    return this.#blobs.get(key)?.stat ?? null
  }

  /** Deleting an absent blob succeeds. */
  async delete(key: string, options: DeleteOptions): Promise<void> {
    this.#begin('delete', key, options)
    this.#blobs.delete(key)
  }

  /** Page by page, if your service has pages. `prefix` is plain text: `fo` matches `foo/x` and `fob`. */
  async *list({ prefix, ...options }: ListOptions): AsyncGenerator<Stat, void, void> {
    const at = this.#begin('list', undefined, options)
    for (const key of [...this.#blobs.keys()].sort(compareKeys)) {
      this.#check(at, options)
      // Skip blobs that have since been deleted.
      const blob = this.#blobs.get(key)
      if (blob !== undefined && key.startsWith(prefix)) yield blob.stat
    }
  }

  override async close(): Promise<void> {
    this.#isClosed = true
  }

  async *#read(bytes: Uint8Array, at: ErrorLocation, options: Op): AsyncGenerator<Uint8Array, void, void> {
    for (let offset = 0; offset < bytes.length; offset += CHUNK_BYTES) {
      this.#check(at, options)
      yield Uint8Array.from(bytes.subarray(offset, offset + CHUNK_BYTES))
    }
  }

  /** Starts every operation. @returns Its location, for errors. */
  #begin(op: string, key: string | undefined, options: Op): ErrorLocation {
    const at = { backend: this.name, op, key }
    this.#check(at, options)
    // The guard has already checked the key; a driver used without a guard must not be led astray either.
    if (key !== undefined) checkKey(key, at)
    return at
  }

  #check(at: ErrorLocation, { signal }: Op): void {
    signal.throwIfAborted()
    if (this.#isClosed) throw new StorageError('CLOSED', at)
  }
}
