import {
  type Capabilities,
  type DeleteOptions,
  type GetOptions,
  type GetResult,
  type ListOptions,
  MemoryBackend,
  type MemoryPlace,
  type Op,
  type PutOptions,
  type Stat,
  StorageBackend,
  StorageError,
} from '@stored/core/backend'

const CAPABILITIES: Capabilities = Object.freeze({
  contract: 1,
  keys: { caseSensitive: false, normalizes: true, fileAndPrefix: false, maxBytes: 1000, maxSegmentBytes: 200 },
  limits: { maxSize: 64 << 20, partSize: 128 << 10, needsSize: true, maxConcurrent: 4 },
})

/** Only the five methods, on a medium with every limit there is. Undeclared options must not be passed. */
export class LimitedBackend extends StorageBackend {
  readonly name = 'limited'
  readonly capabilities = CAPABILITIES
  readonly #place: MemoryPlace
  readonly #memory: MemoryBackend

  constructor(place: MemoryPlace) {
    super()
    this.#place = place
    this.#memory = new MemoryBackend({ place })
  }

  async put(key: string, body: AsyncIterable<Uint8Array>, { size, signal, ...others }: PutOptions): Promise<Stat> {
    const { sha256: _, onSent: __, ...undeclared } = others
    if (Object.keys(undeclared).length > 0) throw new TypeError(`put was given ${Object.keys(undeclared)}`)
    this.#checkKey(key)
    if (size === undefined) throw new TypeError('put was given no size')
    this.#checkConflict(key)
    const stat = await this.#memory.put(key, body, { signal })
    return plain(stat)
  }

  async get(key: string, options: GetOptions): Promise<GetResult> {
    if ('offset' in options || 'length' in options) throw new TypeError('get was given a range')
    const { stat, body } = await this.#memory.get(key, options)
    return { stat: plain(stat), body }
  }

  async stat(key: string, options: Op): Promise<Stat | null> {
    const stat = await this.#memory.stat(key, options)
    return stat && plain(stat)
  }

  delete(key: string, options: DeleteOptions): Promise<void> {
    return this.#memory.delete(key, options)
  }

  async *list({ prefix, signal }: ListOptions): AsyncGenerator<Stat, void, void> {
    const stats = await Array.fromAsync(this.#memory.list({ prefix, signal }))
    for (const stat of stats.reverse()) if (this.#place.blobs.has(stat.key)) yield plain(stat)
  }

  override close(): Promise<void> {
    return this.#memory.close()
  }

  #checkKey(key: string): void {
    const tooLong = Buffer.byteLength(key) > 1000 || key.split('/').some((segment) => Buffer.byteLength(segment) > 200)
    if (tooLong) throw new StorageError('INVALID_KEY', { op: 'put', key })
  }

  #checkConflict(key: string): void {
    const folded = fold(key)
    for (const other of this.#place.blobs.keys()) {
      const alias = other !== key && fold(other) === folded
      const nested = folded.startsWith(`${fold(other)}/`) || fold(other).startsWith(`${folded}/`)
      if (alias || nested) throw new StorageError('KEY_CONFLICT', { op: 'put', key })
    }
  }
}

function fold(key: string): string {
  return key.normalize('NFC').toLowerCase()
}

function plain({ key, size }: Stat): Stat {
  return { key, size }
}
