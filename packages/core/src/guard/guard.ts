import type { Address } from '../backend/address.ts'
import type { Capabilities, LogEvent, Stat, StorageBackend, WatchEvent } from '../backend/contract.ts'
import { type ErrorLocation, StorageError } from '../backend/error.ts'
import { checkKey } from '../backend/keys.ts'
import { checkOption, checkOptions } from '../backend/options.ts'
import { is, needed, type OptionRulesOf, type Rules } from '../backend/rules.ts'
import { openSource } from '../source/open-source.ts'
import type { BlobSource, Source } from '../source/source.ts'
import { CALL, checkGet, checkPut, DELETE, LIST, mayGoOn, READ, SIGNED_URL, SWEEP, WATCH } from './arguments.ts'
import type {
  CallOptions,
  GuardedBackend,
  GuardedBytes,
  GuardedGetOptions,
  GuardedGetResult,
  GuardedListOptions,
  GuardedPutOptions,
  GuardedReadOptions,
} from './guarded-backend.ts'
import { type ListContext, list } from './listing.ts'
import type { Operation } from './operation.ts'
import { put } from './put.ts'
import { type OpenedRange, openRange, type RangeContext } from './ranges.ts'
import { readWhole } from './read.ts'
import { expectSame, isRecognizable, type ResumeContext, resumed } from './resume.ts'
import { delay, type RetryPolicy, retried } from './retry.ts'
import { type MediumMemory, Session } from './session.ts'
import { discardBody, pull, Stream } from './stream.ts'
import { Meter } from './verify.ts'

/** Timeouts, retries and limits of a guard, and where it logs. */
export interface GuardOptions {
  /** The name it was configured under. @default the driver's */
  readonly name?: string
  /** A call in which no byte moves for this many milliseconds is aborted with TIMEOUT. @default 60,000 */
  readonly idleTimeoutMs?: number
  /** Retries of a `get`, `stat` or `list` after a retryable failure. @default 4 */
  readonly retries?: number
  /** Bytes to read and discard to emulate a range. @default 16 MiB */
  readonly discardLimit?: number
  /** Entries to hold in memory to sort a listing if the driver does not. @default 100,000 */
  readonly sortLimit?: number
  /** Remembers which medium was found at earlier openings. @default nothing is remembered */
  readonly medium?: MediumMemory
  /** Receives messages of the driver and the guard, at most a hundred a minute of each level. @default none */
  readonly log?: (event: LogEvent) => void
  /** For jitter, from 0 to below 1. @default Math.random */
  readonly random?: () => number
  /** Waits between attempts. @default a timer */
  readonly delay?: (ms: number, signal: AbortSignal) => Promise<void>
}

export const OPTIONS = {
  name: { ...is.text, otherwise: "the driver's", doc: 'The name it was configured under.' },
  idleTimeoutMs: {
    ...is.whole(1, undefined, 'of milliseconds'),
    default: 60_000,
    otherwise: '60,000',
    doc: 'A call in which no byte moves for this many milliseconds is aborted with TIMEOUT.',
  },
  retries: { ...is.whole(0), default: 4, doc: 'Retries of a `get`, `stat` or `list` after a retryable failure.' },
  discardLimit: {
    ...is.whole(0, undefined, 'of bytes'),
    default: 16 << 20,
    otherwise: '16 MiB',
    doc: 'Bytes to read and discard to emulate a range.',
  },
  sortLimit: {
    ...is.whole(0),
    default: 100_000,
    otherwise: '100,000',
    doc: 'Entries to hold in memory to sort a listing if the driver does not.',
  },
  medium: {
    ...is.object,
    otherwise: 'nothing is remembered',
    doc: 'Remembers which medium was found at earlier openings.',
  },
  log: {
    ...is.callback,
    default: () => {},
    otherwise: 'none',
    doc: 'Receives messages of the driver and the guard, at most a hundred a minute of each level.',
  },
  random: { ...is.callback, default: Math.random, otherwise: 'Math.random', doc: 'For jitter, from 0 to below 1.' },
  delay: { ...is.callback, default: delay, otherwise: 'a timer', doc: 'Waits between attempts.' },
} as const satisfies OptionRulesOf<GuardOptions>

type Settings = Required<Omit<GuardOptions, 'name' | 'medium'>> & Pick<GuardOptions, 'name' | 'medium'>

/** Wraps a driver in a guard. Every program should use a backend through its guard. */
export function guardBackend(backend: StorageBackend, options: GuardOptions = {}): GuardedBackend {
  return new Guard(backend, checkOptions(options as Settings, OPTIONS, { op: 'guardBackend' }))
}

type Flag = 'ifAbsent' | 'ifMatch' | 'resume' | 'signedUrl' | 'watch' | 'sweep'

class Guard implements GuardedBackend {
  readonly name: string
  readonly #driver: StorageBackend
  readonly #options: Settings
  readonly #retry: RetryPolicy
  readonly #session: Session

  constructor(driver: StorageBackend, options: Settings, session?: Session) {
    const { name = driver.name, retries, random, delay, idleTimeoutMs, log, medium } = options
    this.name = name
    this.#driver = driver
    this.#options = options
    const onRetry = ({ at, message }: StorageError) => this.#session.say('debug', `tried again: ${message}`, at.key)
    this.#retry = { retries, random, delay, onRetry }
    this.#session = session ?? new Session(driver, { name, idleTimeoutMs, log, medium })
  }

  get driver(): string {
    return this.#driver.name
  }

  get address(): Address | undefined {
    return this.#driver.address
  }

  get capabilities(): Capabilities {
    return this.#driver.capabilities
  }

  withoutRetries(): GuardedBackend {
    return new Guard(this.#driver, { ...this.#options, retries: 0 }, this.#session)
  }

  async open(options: CallOptions = {}): Promise<void> {
    await this.#run(['open'], [options, CALL], async () => {})
  }

  async reconnect(options: CallOptions = {}): Promise<void> {
    await this.#run(['reconnect'], [options, CALL], async (operation) =>
      operation.settle(Promise.resolve(this.#driver.reconnect?.())),
    )
  }

  async put(
    key: string,
    source: BlobSource,
    given: GuardedPutOptions = {},
  ): Promise<Stat & { readonly sha256: string }> {
    const at = this.#session.at('put', key)
    checkKey(key, at)
    const options = checkPut(given, at)
    const operation = this.#session.begin(at, options.signal)
    let opened: Source | undefined
    try {
      const opening = openSource(source, { signal: operation.signal, at })
      const ready = 'body' in opening ? opening : await operation.until(opening)
      opened = ready
      return await this.#session.run(operation, () => {
        this.#checkWritable(at)
        if (options.ifAbsent) this.#need('ifAbsent', at)
        if (options.ifMatch !== undefined) this.#need('ifMatch', at)
        if (mayGoOn(options)) this.#need('resume', at)
        return this.#session.inPlace(operation, () => put({ driver: this.#driver, operation }, key, ready, options))
      })
    } catch (error) {
      operation.end()
      throw operation.failure(error)
    } finally {
      opened?.release()
    }
  }

  async get(key: string, given: GuardedGetOptions = {}): Promise<GuardedGetResult> {
    const at = this.#session.at('get', key)
    checkKey(key, at)
    const options = checkGet(given, at)
    const operation = this.#session.begin(at, options.signal)
    try {
      await this.#session.ready(operation)
      if (options.ifMatch !== undefined) this.#need('ifMatch', at)
      const context = { driver: this.#driver, operation, discardLimit: this.#options.discardLimit }
      const opened = await this.#retried(operation, () => openRange(context, key, options))
      return reading(opened, this.#resumption(opened, context, key, options), options.sha256)
    } catch (error) {
      operation.end()
      throw operation.failure(error)
    }
  }

  read(key: string, options: GuardedReadOptions): Promise<GuardedBytes | null> {
    return this.#run(['get', key], [options, READ], (operation, checked) =>
      this.#retried(operation, () => readWhole(this.#driver, key, checked, operation)),
    )
  }

  async stat(key: string, options: CallOptions = {}): Promise<Stat | null> {
    return this.#run(['stat', key], [options, CALL], async (operation) => {
      const { signal } = operation
      const stat = await this.#retried(operation, () => operation.settle(this.#driver.stat(key, { signal })))
      operation.throwIfAborted()
      return stat
    })
  }

  async has(key: string, options: CallOptions = {}): Promise<boolean> {
    return (await this.stat(key, options)) !== null
  }

  async delete(key: string, options: CallOptions & { readonly ifMatch?: string | undefined } = {}): Promise<void> {
    return this.#run(['delete', key], [options, DELETE], (operation, { ifMatch }) => {
      const { at, signal } = operation
      this.#checkWritable(at)
      if (ifMatch !== undefined) this.#need('ifMatch', at)
      const passed = ifMatch === undefined ? { signal } : { signal, ifMatch }
      return this.#session.inPlace(operation, () => operation.settle(this.#driver.delete(key, passed)))
    })
  }

  list(given: GuardedListOptions = {}): AsyncIterableIterator<Stat, void, void> {
    return new Stream(() => {
      const at = this.#session.at('list')
      const options = checkOptions(given, LIST, at)
      const operation = this.#session.begin(at, options.signal)
      return { operation, items: this.#list(operation, options) }
    })
  }

  async copy(from: string, to: string, options: CallOptions = {}): Promise<Stat> {
    const native = await this.#run(['copy', from, to], [options, CALL], async (operation) => {
      const { at, signal } = operation
      this.#checkWritable(at)
      if (!this.capabilities.copy) return null
      return this.#session.inPlace(operation, () => operation.settle(this.#call('copy', at)(from, to, { signal })))
    })
    if (native !== null) return native
    const { signal } = options
    const { stat, body } = await this.get(from, { signal })
    const { size, contentType, metadata } = stat
    return this.put(to, body, { size, contentType, metadata, signal })
  }

  async deleteMany(keys: readonly string[], options: CallOptions = {}): Promise<Map<string, StorageError>> {
    const at = this.#session.at('deleteMany')
    checkOption('keys', keys, needed(is.names), at)
    for (const key of keys) checkKey(key, at)
    return this.#run(['deleteMany'], [options, CALL], async (operation) => {
      const { signal } = operation
      this.#checkWritable(at)
      if (!this.capabilities.deleteMany) return this.#deleteEach(keys, operation)
      return this.#session.inPlace(operation, () => operation.settle(this.#call('deleteMany', at)(keys, { signal })))
    })
  }

  async signedUrl(
    key: string,
    options: CallOptions & { readonly method: 'GET' | 'PUT'; readonly expiresMs: number },
  ): Promise<string> {
    return this.#run(['signedUrl', key], [options, SIGNED_URL], (operation, { method, expiresMs }) => {
      const { at, signal } = operation
      if (method === 'PUT') this.#checkWritable(at)
      this.#need('signedUrl', at)
      return operation.settle(this.#call('signedUrl', at)(key, { method, expiresMs, signal }))
    })
  }

  watch(
    options: CallOptions & { readonly prefix?: string | undefined } = {},
  ): AsyncIterableIterator<WatchEvent, void, void> {
    return new Stream(() => {
      const at = this.#session.at('watch')
      checkOptions(options, WATCH, at)
      // A long time without changes is not a stall.
      const operation = this.#session.begin(at, options.signal, { idle: true })
      return { operation, items: this.#watch(operation, options.prefix) }
    })
  }

  async sweep(options: CallOptions & { readonly olderThanMs: number }): Promise<number> {
    return this.#run(['sweep'], [options, SWEEP], (operation, { olderThanMs }) => {
      const { at, signal } = operation
      this.#checkWritable(at)
      this.#need('sweep', at)
      return operation.settle(this.#call('sweep', at)({ olderThanMs, signal }))
    })
  }

  close(): Promise<void> {
    return this.#session.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Checks a call before anything is touched, then runs it on an open backend. Reads the options once. */
  async #run<Options extends CallOptions, T>(
    [op, ...keys]: readonly [op: string, ...keys: string[]],
    [options, rules]: readonly [Options, Rules],
    work: (operation: Operation, options: Options) => Promise<T>,
  ): Promise<T> {
    for (const key of keys) checkKey(key, this.#session.at(op, key))
    const at = this.#session.at(op, keys[0])
    const checked = checkOptions(options, rules, at)
    const operation = this.#session.begin(at, checked.signal)
    return this.#session.run(operation, () => work(operation, checked))
  }

  async *#list(operation: Operation, options: GuardedListOptions): AsyncGenerator<Stat, void, void> {
    await this.#session.ready(operation)
    const context: ListContext = {
      driver: this.#driver,
      operation,
      run: (step) => this.#session.inPlace(operation, step),
      retry: this.#retry,
      sortLimit: this.#options.sortLimit,
      onForeign: (key: string, fault: string) => this.#session.warn(`left out of the listing: ${fault}`, key),
    }
    yield* list(context, options)
  }

  async *#watch(operation: Operation, prefix: string | undefined): AsyncGenerator<WatchEvent, void, void> {
    await this.#session.ready(operation)
    this.#need('watch', operation.at)
    const { signal } = operation
    yield* pull(this.#call('watch', operation.at)(prefix === undefined ? { signal } : { signal, prefix }), operation)
  }

  async #deleteEach(keys: readonly string[], operation: Operation): Promise<Map<string, StorageError>> {
    const failures = new Map<string, StorageError>()
    for (const key of keys) {
      operation.throwIfAborted()
      await this.delete(key, { signal: operation.signal }).catch((error) => failures.set(key, error as StorageError))
    }
    operation.throwIfAborted()
    return failures
  }

  #retried<T>(operation: Operation, attempt: () => Promise<T>): Promise<T> {
    return retried(this.#retry, operation, () => this.#session.inPlace(operation, attempt))
  }

  #resumption(first: OpenedRange, context: RangeContext, key: string, options: GuardedGetOptions): ResumeContext {
    const { operation, driver } = context
    const { stat, length } = first
    const start = options.last === undefined ? (options.offset ?? 0) : stat.size - length
    const ifMatch = driver.capabilities.ifMatch ? stat.etag : undefined
    const reopen = (done: number) =>
      this.#session.inPlace(operation, async () => {
        const rest = { offset: start + done, length: length - done, ifMatch }
        return expectSame(await openRange(context, key, rest), stat, operation)
      })
    return { operation, policy: this.#retry, reopen: isRecognizable(driver, stat) ? reopen : null }
  }

  #need(flag: Flag, at: ErrorLocation): void {
    if (!this.capabilities[flag])
      throw new StorageError('UNSUPPORTED', at, { detail: `driver ${this.driver} has no ${flag}` })
  }

  #checkWritable(at: ErrorLocation): void {
    if (this.capabilities.readOnly) throw new StorageError('UNSUPPORTED', at, { detail: 'the backend is read-only' })
  }

  #call<M extends 'copy' | 'deleteMany' | 'signedUrl' | 'watch' | 'sweep'>(
    method: M,
    at: ErrorLocation,
  ): NonNullable<StorageBackend[M]> {
    const implementation = this.#driver[method]
    if (implementation !== undefined) return implementation.bind(this.#driver) as NonNullable<StorageBackend[M]>
    throw new StorageError('INTERNAL', at, {
      detail: `driver ${this.driver} declares ${method} but does not implement it`,
    })
  }
}

/** The result of a `get`: its body counts bytes, verifies if it can, and ends the operation. */
function reading(opened: OpenedRange, context: ResumeContext, sha256: string | undefined): GuardedGetResult {
  const { stat, body, length } = opened
  const { operation } = context
  const whole = length === stat.size
  const digest = whole ? (sha256 ?? stat.checksums?.sha256) : undefined
  const meter = new Meter(digest === undefined ? [] : ['sha256'])
  const begin = () => {
    const bytes = resumed(opened, context)
    return { operation, items: meter.pass(bytes, { size: length, sha256: digest }, operation.at) }
  }
  const discard = async () => {
    operation.end()
    await discardBody(body)
  }
  return { stat, body: new Stream(begin, discard), verified: digest !== undefined }
}
