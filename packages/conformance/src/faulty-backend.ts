import {
  type Address,
  type Capabilities,
  checkOptions,
  compareKeys,
  type DeleteOptions,
  type GetOptions,
  type GetResult,
  is,
  type ListOptions,
  type Op,
  type OpenContext,
  type PutOptions,
  type Rule,
  type Rules,
  type Stat,
  StorageBackend,
  StorageError,
  type StorageErrorOptions,
} from '@stored/core/backend'
import { checkRates, Dice, type Fault, type FaultRates, type FaultyMethod, NO_FAULTS } from './faults.ts'
import { slowed, untilAborted } from './slow.ts'
import { collect } from './source.ts'
import { once } from './subject.ts'

/** What a faulty backend does to which calls. */
export interface FaultyOptions extends Partial<FaultRates> {
  /** Repeats the faults of a run. @default 1 */
  readonly seed?: number
  /** The speed of bodies in both directions, in bytes per second. @default unlimited */
  readonly slow?: number
  /** How long RATE_LIMITED asks to wait, in milliseconds. @default 1000 */
  readonly retryAfterMs?: number
  /** How many calls in a row are RATE_LIMITED. @default 3 */
  readonly burst?: number
}

const RATE: Rule = {
  expected: 'a number from 0 to 1',
  holds: (value) => typeof value === 'number' && value >= 0 && value <= 1,
  shown: 'number',
}
const RATES = Object.fromEntries(Object.keys(NO_FAULTS).map((fault) => [fault, RATE]))
const OPTIONS: Rules = {
  ...RATES,
  seed: is.whole(Number.MIN_SAFE_INTEGER),
  slow: is.whole(1, undefined, 'of bytes'),
  retryAfterMs: is.whole(0, undefined, 'of milliseconds'),
  burst: is.whole(1),
}
/** How many changes a stale listing may lag behind. */
const STALE_CHANGES = 8

/**
 * Another backend with injected faults: at random with given rates and repeatably (`seed`), or on demand (`fail`). For
 * testing code built on backends. It declares the other backend's capabilities; it sets a timer only if `slow` is
 * given.
 */
export class FaultyBackend extends StorageBackend {
  readonly name: string
  /** How often each method was called, failed calls included. */
  readonly calls: Record<FaultyMethod | 'open' | 'close', number> = {
    ...{ open: 0, put: 0, get: 0, stat: 0, delete: 0, list: 0, close: 0 },
    ...{ copy: 0, deleteMany: 0, signedUrl: 0, watch: 0, sweep: 0 },
  }
  /** How often each fault happened. */
  readonly faults: Record<Fault, number> = { ...NO_FAULTS }
  readonly #inner: StorageBackend
  readonly #dice: Dice
  readonly #slow: number | undefined
  readonly #retryAfterMs: number
  readonly #burst: number
  #rates: FaultRates
  #outage: Error | null = null
  #limitedCalls = 0
  /** The previous state of the keys changed last. */
  readonly #past = new Map<string, Stat | null>()

  /** @throws {StorageError} INVALID_ARGUMENT for an unknown option, or invalid rates. */
  constructor(inner: StorageBackend, options: FaultyOptions = {}) {
    super()
    checkOptions(options, OPTIONS, { op: 'FaultyBackend' })
    const { seed = 1, slow, retryAfterMs = 1000, burst = 3, ...rates } = options
    this.name = inner.name
    this.#inner = inner
    this.#dice = new Dice(seed)
    this.#slow = slow
    this.#retryAfterMs = retryAfterMs
    this.#burst = burst
    this.#rates = checkRates({ ...NO_FAULTS, ...rates })
    this.#addOptionalMethods()
  }

  get capabilities(): Capabilities {
    return this.#inner.capabilities
  }

  override get address(): Address | undefined {
    return this.#inner.address
  }

  override get medium(): string | undefined {
    return this.#inner.medium
  }

  /** An outage: from now on every call except `close` rejects with `error`; `null` ends it. */
  fail(error: Error | null): void {
    this.#outage = error
  }

  /** Changes the rates that are given. @throws {StorageError} INVALID_ARGUMENT. */
  set(rates: Partial<FaultRates>): void {
    checkOptions(rates, RATES, { op: 'FaultyBackend' })
    this.#rates = checkRates({ ...this.#rates, ...rates })
  }

  /** Ends the outage and every fault but `slow`. */
  heal(): void {
    this.#outage = null
    this.#limitedCalls = 0
    this.#rates = NO_FAULTS
  }

  override async open(context: OpenContext): Promise<void> {
    this.calls.open += 1
    if (this.#outage !== null) throw this.#outage
    await this.#inner.open?.(context)
  }

  async put(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat> {
    const fault = await this.#begin('put', key, options)
    await this.#remember([key], options)
    const slow = this.#slow === undefined ? body : slowed(body, this.#slow, options.signal)
    if (fault === 'partial') return this.#putPart(key, slow, options)
    if (fault === 'duplicate') return this.#putTwice(key, slow, options)
    const stat = await this.#inner.put(key, slow, options)
    if (fault === 'applied') throw this.#unavailable('put', key, LANDED)
    return stat
  }

  async get(key: string, options: GetOptions): Promise<GetResult> {
    const fault = await this.#begin('get', key, options)
    const { stat, body } = await this.#inner.get(key, options)
    const slow = this.#slow === undefined ? body : slowed(body, this.#slow, options.signal)
    if (fault === 'wrongBytes') return { stat, body: this.#flipped(slow) }
    if (fault === 'cut') return { stat, body: this.#cut(slow, key, stat.size) }
    return { stat, body: slow }
  }

  async stat(key: string, options: Op): Promise<Stat | null> {
    await this.#begin('stat', key, options)
    return this.#inner.stat(key, options)
  }

  async delete(key: string, options: DeleteOptions): Promise<void> {
    const fault = await this.#begin('delete', key, options)
    await this.#remember([key], options)
    await this.#inner.delete(key, options)
    if (fault === 'applied') throw this.#unavailable('delete', key, LANDED)
  }

  async *list(options: ListOptions): AsyncGenerator<Stat, void, void> {
    const fault = await this.#begin('list', undefined, options)
    yield* fault === 'staleList' ? await this.#staleList(options) : this.#inner.list(options)
  }

  override async close(): Promise<void> {
    this.calls.close += 1
    await this.#inner.close?.()
  }

  /** Those that the other backend has: a method exists exactly if its capability does. */
  #addOptionalMethods(): void {
    const { copy, deleteMany, reconnect, signedUrl, watch, sweep } = this.#inner
    if (reconnect) this.reconnect = () => reconnect.call(this.#inner)
    if (copy)
      this.copy = async (from, to, options) => {
        const fault = await this.#begin('copy', from, options)
        await this.#remember([to], options)
        const stat = await copy.call(this.#inner, from, to, options)
        if (fault === 'applied') throw this.#unavailable('copy', from, LANDED)
        return stat
      }
    if (deleteMany)
      this.deleteMany = async (keys, options) => {
        await this.#begin('deleteMany', undefined, options)
        await this.#remember(keys, options)
        return deleteMany.call(this.#inner, keys, options)
      }
    if (signedUrl)
      this.signedUrl = async (key, options) => {
        await this.#begin('signedUrl', key, options)
        return signedUrl.call(this.#inner, key, options)
      }
    if (watch) this.watch = (options) => this.#watch(() => watch.call(this.#inner, options), options)
    if (sweep)
      this.sweep = async (options) => {
        await this.#begin('sweep', undefined, options)
        return sweep.call(this.#inner, options)
      }
  }

  async *#watch<T>(watch: () => AsyncIterable<T>, options: Op): AsyncGenerator<T, void, void> {
    await this.#begin('watch', undefined, options)
    yield* watch()
  }

  /** Counts the call and decides its outcome. Throws a fault that strikes before anything has happened. */
  async #begin(method: FaultyMethod, key: string | undefined, { signal }: Op): Promise<Fault | null> {
    this.calls[method] += 1
    signal.throwIfAborted()
    if (this.#outage !== null) throw this.#outage
    if (this.#limitedCalls > 0) throw this.#rateLimited(method, key)
    const fault = this.#dice.throw(method, this.#rates)
    if (fault === null) return null
    this.faults[fault] += 1
    if (fault === 'error') throw this.#unavailable(method, key)
    if (fault === 'hang') return untilAborted(signal)
    if (fault !== 'rateLimited') return fault
    this.#limitedCalls = this.#burst
    throw this.#rateLimited(method, key)
  }

  #rateLimited(op: string, key: string | undefined): StorageError {
    this.#limitedCalls -= 1
    return new StorageError('RATE_LIMITED', { backend: this.name, op, key }, { retryAfterMs: this.#retryAfterMs })
  }

  #unavailable(op: string, key: string | undefined, options: StorageErrorOptions = {}): StorageError {
    return new StorageError(
      'UNAVAILABLE',
      { backend: this.name, op, key },
      { detail: 'a fault on purpose', ...options },
    )
  }

  async #putPart(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat> {
    const bytes = await collect(body)
    const part = bytes.subarray(0, Math.floor(this.#dice.place() * bytes.byteLength))
    // Part of a body is another blob: a put must not resume from it.
    const { size: _, sha256: __, file: ___, checkpoint: ____, onCheckpoint: _____, ...rest } = options
    await this.#inner.put(key, once(part), { ...rest, size: part.byteLength })
    throw this.#unavailable('put', key, LANDED)
  }

  /** The second delivery of a conditional put fails because the first has changed the key. */
  async #putTwice(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat> {
    const bytes = await collect(body)
    const { file: _, ...rest } = options
    const first = await this.#inner.put(key, once(bytes), rest)
    if (options.ifAbsent || options.ifMatch !== undefined) return first
    return this.#inner.put(key, once(bytes), rest)
  }

  async *#flipped(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
    let flipped = false
    for await (const chunk of body) {
      const wrong = Buffer.from(chunk)
      if (!flipped && wrong.byteLength > 0) {
        const place = this.#dice.place() * wrong.byteLength
        const at = Math.floor(place)
        wrong.writeUInt8(wrong.readUInt8(at) ^ (1 << Math.floor((place % 1) * 8)), at)
        flipped = true
      }
      yield wrong
    }
  }

  async *#cut(body: AsyncIterable<Uint8Array>, key: string, size: number): AsyncGenerator<Uint8Array, void, void> {
    let left = Math.floor(this.#dice.place() * size)
    for await (const chunk of body) {
      if (left < chunk.byteLength) {
        yield chunk.subarray(0, left)
        break
      }
      yield chunk
      left -= chunk.byteLength
    }
    throw this.#unavailable('get', key)
  }

  /** Records the state of keys that are about to change; only if listings can be stale. */
  async #remember(keys: readonly string[], { signal }: Op): Promise<void> {
    if (this.#rates.staleList === 0) return
    for (const key of keys) {
      const before = await this.#inner.stat(key, { signal })
      this.#past.delete(key)
      this.#past.set(key, before)
      const [oldest] = this.#past.keys()
      if (this.#past.size > STALE_CHANGES && oldest !== undefined) this.#past.delete(oldest)
    }
  }

  async #staleList(options: ListOptions): Promise<Stat[]> {
    const stats = new Map<string, Stat>()
    for await (const stat of this.#inner.list(options)) stats.set(stat.key, stat)
    for (const [key, stat] of this.#past) {
      stats.delete(key)
      const after = options.startAfter === undefined || compareKeys(key, options.startAfter) > 0
      if (stat !== null && after && key.startsWith(options.prefix)) stats.set(key, stat)
    }
    return [...stats.values()].sort((a, b) => compareKeys(a.key, b.key))
  }
}

const LANDED: StorageErrorOptions = { ambiguous: true }
