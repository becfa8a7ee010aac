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
} from '@stored/core/backend'

export interface LateOptions {
  readonly place: MemoryPlace
  /** A request takes so long on its way, and its answer as well, in milliseconds. */
  readonly latencyMs: number
  readonly local?: boolean
  /** Whether it decides conditions, and keeps checksums. */
  readonly plain?: boolean
}

/**
 * Memory that takes its time. Whoever dies while a request is on its way never made it; while the answer is, it was made and
 * nobody heard.
 */
export class LateBackend extends StorageBackend {
  readonly name = 'late'
  readonly capabilities: Capabilities
  readonly #memory: MemoryBackend
  readonly #latencyMs: number
  readonly #isPlain: boolean

  constructor({ place, latencyMs, local = false, plain = false }: LateOptions) {
    super()
    this.#memory = new MemoryBackend({ place })
    this.#latencyMs = latencyMs
    this.#isPlain = plain
    this.capabilities = {
      ...{ contract: 1, range: true, atomicOverwrite: true, order: true, startAfter: true, etag: 'strong' },
      ...(local && { local }),
      ...(!plain && { ifAbsent: true, ifMatch: true, checksums: ['sha256'] }),
    }
  }

  async put(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat> {
    await this.#passed(options)
    const stat = await this.#memory.put(key, body, options)
    await this.#passed(options)
    return this.#told(stat)
  }

  async get(key: string, options: GetOptions): Promise<GetResult> {
    await this.#passed(options)
    const { stat, body } = await this.#memory.get(key, options)
    return { stat: this.#told(stat), body }
  }

  async stat(key: string, options: Op): Promise<Stat | null> {
    await this.#passed(options)
    const stat = await this.#memory.stat(key, options)
    return stat && this.#told(stat)
  }

  async delete(key: string, options: DeleteOptions): Promise<void> {
    await this.#passed(options)
    await this.#memory.delete(key, options)
    await this.#passed(options)
  }

  async *list(options: ListOptions): AsyncGenerator<Stat, void, void> {
    await this.#passed(options)
    for await (const stat of this.#memory.list(options)) yield this.#told(stat)
  }

  #told({ checksums, ...stat }: Stat): Stat {
    return { ...stat, ...(!this.#isPlain && checksums && { checksums }) }
  }

  #passed({ signal }: Op): Promise<void> {
    return new Promise((resolve, reject) => {
      const abort = () => {
        clearTimeout(timer)
        reject(signal.reason)
      }
      const timer = setTimeout(() => {
        signal.removeEventListener('abort', abort)
        resolve()
      }, this.#latencyMs)
      if (signal.aborted) abort()
      signal.addEventListener('abort', abort, { once: true })
    })
  }
}
