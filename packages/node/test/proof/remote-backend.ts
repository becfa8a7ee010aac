import {
  type Capabilities,
  type DeleteOptions,
  type GetOptions,
  type GetResult,
  type ListOptions,
  MemoryBackend,
  type MemoryBlob,
  MemoryPlace,
  type Op,
  type PutOptions,
  type Stat,
  StorageBackend,
} from '@stored/core/backend'

/** Memory as far away as a plain server: every call takes its time, and it keeps no checksums. */
export class RemoteBackend extends StorageBackend {
  readonly name = 'remote'
  readonly capabilities: Capabilities = {
    contract: 1,
    range: true,
    ifAbsent: true,
    ifMatch: true,
    atomicOverwrite: true,
    order: true,
    startAfter: true,
    etag: 'strong',
  }
  readonly #place = new MemoryPlace()
  readonly #memory = new MemoryBackend({ place: this.#place })
  readonly #latencyMs: number

  constructor(latencyMs: number) {
    super()
    this.#latencyMs = latencyMs
  }

  get blobs(): ReadonlyMap<string, MemoryBlob> {
    return this.#place.blobs
  }

  async put(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat> {
    await passed(this.#latencyMs, options)
    return plain(await this.#memory.put(key, body, options))
  }

  async get(key: string, options: GetOptions): Promise<GetResult> {
    await passed(this.#latencyMs, options)
    const { stat, body } = await this.#memory.get(key, options)
    return { stat: plain(stat), body }
  }

  async stat(key: string, options: Op): Promise<Stat | null> {
    await passed(this.#latencyMs, options)
    const stat = await this.#memory.stat(key, options)
    return stat && plain(stat)
  }

  async delete(key: string, options: DeleteOptions): Promise<void> {
    await passed(this.#latencyMs, options)
    return this.#memory.delete(key, options)
  }

  async *list(options: ListOptions): AsyncGenerator<Stat, void, void> {
    await passed(this.#latencyMs, options)
    for await (const stat of this.#memory.list(options)) yield plain(stat)
  }
}

/** Accepts every write and never answers. */
export class HangingBackend extends RemoteBackend {
  override put(_key: string, _body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat> {
    return passed(Number.POSITIVE_INFINITY, options) as Promise<never>
  }
}

function plain({ checksums: _, ...stat }: Stat): Stat {
  return stat
}

/** Resolves after `ms`, unless that is `Infinity`; rejects when it is aborted. */
function passed(ms: number, { signal }: Op): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      clearTimeout(timer)
      reject(signal.reason)
    }
    const onTime = () => {
      signal.removeEventListener('abort', onAbort)
      resolve()
    }
    const timer = Number.isFinite(ms) ? setTimeout(onTime, ms) : undefined
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort)
  })
}
