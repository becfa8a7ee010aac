import { setTimeout } from 'node:timers/promises'
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
import { Connection } from './connection.ts'
import { isInPlace, prune } from './directories.ts'
import { download } from './download.ts'
import { saysAbsent, toSftpError } from './errors.ts'
import { credentialOf } from './login.ts'
import { type Medium, UNKNOWN, unlinkIfThere } from './medium.ts'
import { cannotHold } from './names.ts'
import { parseOptions, type Settings, type SftpBackendOptions } from './options.ts'
import { MAX_SEGMENT_BYTES, toPath } from './paths.ts'
import { Pool } from './pool.ts'
import { explainFailure, publish } from './publish.ts'
import { parentOf, Root } from './root.ts'
import { interruptible, LinkedSignal, untilAborted } from './signals.ts'
import { toStat } from './stat.ts'
import { sweepTemps, Temp } from './temp.ts'
import { upload } from './upload.ts'
import { walk } from './walk.ts'

/** How long calls in progress have to clean up. */
const CLOSE_MS = 3000
/** Each holds what is in flight: some MiB. */
const MAX_CONCURRENT = 32

interface Opened {
  readonly root: Root
  readonly log: (event: LogEvent) => void
}

/** One call and its connection. */
interface Call {
  readonly connection: Connection
  readonly root: Root
  readonly at: ErrorLocation
  /** Aborts with the caller's signal, and when the backend is closed. */
  readonly signal: AbortSignal
  /** Whether it may already have taken effect. */
  readonly progress: { committing: boolean; started: boolean }
}

/** Blobs as plain files below one directory of a server that speaks SFTP. */
export class SftpBackend extends StorageBackend {
  readonly name = 'sftp'
  readonly #options: Settings
  readonly #pool: Pool
  readonly #closing = new AbortController()
  readonly #running = new Set<Promise<unknown>>()
  /** Temporary files that could not be removed because their connection was lost. */
  readonly #orphans = new Set<string>()
  #capabilities = capabilitiesOf({ ...UNKNOWN, replaces: true, hardLinks: true })
  #opening: Promise<void> | undefined
  #opened: Opened | undefined

  /** @throws {StorageError} INVALID_ARGUMENT */
  constructor(options: SftpBackendOptions) {
    super()
    const parsed = parseOptions(options)
    const { password, privateKey, passphrase, ...rest } = parsed
    const credential = credentialOf(parsed)
    const at = { backend: this.name, op: 'connect' }
    this.#options = rest
    const dial = (signal: AbortSignal) => credential.use((login) => Connection.dial(rest, login, signal, at))
    this.#pool = new Pool(dial, rest.connections)
  }

  override get address(): Address {
    return addressOf(this.#options)
  }

  override get medium(): string | undefined {
    return this.#opened?.root.id
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
      const { connection, root, at, signal, progress } = call
      const path = this.#pathOf(call, key)
      await this.#removeOrphans(connection)
      const temp = await Temp.create(connection, root, at)
      try {
        const { fsync, requestsInFlight } = this.#options
        progress.started = true
        const size = await upload(connection, temp.handle, interruptible(body, signal), requestsInFlight)
        // Before it gets its name: a name must never lead to bytes that a power cut can lose.
        const stats = await temp.finish(size, fsync && root.medium.flushesFiles, at)
        signal.throwIfAborted()
        await publish({ ...call, temp, path, ifAbsent: options.ifAbsent === true, fsync })
        return toStat(key, stats)
      } catch (error) {
        throw await explainFailure(error, call)
      } finally {
        const orphan = await temp.dispose()
        if (orphan !== null) this.#rescue(orphan)
      }
    })
  }

  get(key: string, options: GetOptions): Promise<GetResult> {
    return this.#run('get', key, options, async (call) => {
      const { connection, at } = call
      const path = this.#pathOf(call, key)
      // Before it is opened: opening a pipe would block the server.
      if ((await this.#find(call, path)) === null) throw new StorageError('NOT_FOUND', at)
      const { requestsInFlight } = this.#options
      const context = { connection, requestsInFlight, signals: [options.signal, this.#closing.signal], at }
      try {
        return await download(context, path, key, options)
      } catch (error) {
        throw saysAbsent(error) ? new StorageError('NOT_FOUND', at, { cause: error }) : error
      }
    })
  }

  stat(key: string, options: Op): Promise<Stat | null> {
    return this.#run('stat', key, options, async (call) => {
      const found = await this.#find(call, this.#pathOf(call, key))
      return found === null ? null : toStat(key, found)
    })
  }

  delete(key: string, options: DeleteOptions): Promise<void> {
    return this.#run('delete', key, options, async (call) => {
      const path = this.#pathOf(call, key)
      if ((await this.#find(call, path)) === null) return
      call.signal.throwIfAborted()
      if (await unlinkIfThere(call.connection, path)) await prune(call.connection, call.root, parentOf(path))
    })
  }

  async *list(options: ListOptions): AsyncGenerator<Stat, void, void> {
    const at = { backend: this.name, op: 'list' }
    try {
      const { root, log } = this.#ready(at, options.signal)
      const use = <T>(work: (connection: Connection, signal: AbortSignal) => Promise<T>) =>
        this.#run('list', undefined, options, ({ connection, signal }) => work(connection, signal))
      for await (const stat of walk({ root, at, options, use, log })) {
        options.signal.throwIfAborted()
        this.#closing.signal.throwIfAborted()
        yield stat
      }
    } catch (error) {
      throw toSftpError(error, at, options.signal)
    }
  }

  override sweep(options: Op & { olderThanMs: number }): Promise<number> {
    return this.#run('sweep', undefined, options, async ({ connection, root, at, signal }) => {
      await root.check(connection, at)
      const before = this.#orphans.size
      await this.#removeOrphans(connection)
      return before - this.#orphans.size + (await sweepTemps(connection, root, options.olderThanMs, at, signal))
    })
  }

  override reconnect(): void {
    this.#pool.renew()
  }

  override async close(): Promise<void> {
    this.#closing.abort(new StorageError('CLOSED', { backend: this.name, op: 'close' }))
    const patience = new AbortController()
    await Promise.race([
      Promise.allSettled(this.#running),
      setTimeout(CLOSE_MS, undefined, { signal: patience.signal }).catch(() => {}),
    ])
    patience.abort()
    this.#pool.close()
  }

  async #open({ log, signal, medium }: OpenContext): Promise<void> {
    const at = { backend: this.name, op: 'open' }
    using linked = new LinkedSignal(signal === undefined ? [this.#closing.signal] : [signal, this.#closing.signal])
    try {
      linked.signal.throwIfAborted()
      const opening = this.#pool.use((connection) => Root.open(connection, this.#options.root, medium, at, log))
      const root = await untilAborted(opening, linked.signal)
      this.#capabilities = capabilitiesOf(root.medium)
      this.#opened = { root, log }
      for (const message of weaknessesOf(root.medium, this.#options)) log({ level: 'warn', message })
    } catch (error) {
      // A later open connects again; otherwise nothing stays open.
      this.#pool.disconnect()
      throw toSftpError(error, at, signal)
    }
  }

  /** @returns `null` if certainly no blob is there. */
  async #find({ connection, root, at, signal }: Call, path: string) {
    try {
      const look = () => isInPlace(connection, parentOf(path))
      // Before and after, in one batch: a link swapped in between would lead the request elsewhere.
      const [before, found, after] = await Promise.all([look(), connection.lstat(path), look()])
      const inPlace = before && after
      if (!inPlace) await root.check(connection, at)
      return inPlace && found.isFile() && (await root.isSpelled(connection, path, at, signal)) ? found : null
    } catch (error) {
      if (!saysAbsent(error) && !(await cannotHold(connection, root, error))) throw error
      await root.check(connection, at)
      return null
    }
  }

  /** Removes a temporary file over another connection; if that fails too, the next put removes it. */
  #rescue(orphan: string): void {
    this.#orphans.add(orphan)
    this.#track(this.#pool.use((connection) => this.#removeOrphans(connection))).catch(() => {})
  }

  async #removeOrphans(connection: Connection): Promise<void> {
    for (const path of this.#orphans) {
      await unlinkIfThere(connection, path)
      this.#orphans.delete(path)
    }
  }

  #pathOf({ root, at }: Call, key: string): string {
    return toPath(root.path, key, root.medium.caseSensitive, at)
  }

  #ready(at: ErrorLocation, signal: AbortSignal): Opened {
    if (this.#closing.signal.aborted) throw new StorageError('CLOSED', at)
    if (this.#opened === undefined) throw new StorageError('MISCONFIGURED', at, { detail: 'call open() first' })
    signal.throwIfAborted()
    return this.#opened
  }

  /** Makes `close` wait for it. */
  #track<T>(running: Promise<T>): Promise<T> {
    this.#running.add(running)
    running.finally(() => this.#running.delete(running)).catch(() => {})
    return running
  }

  /** Rejects as soon as the call is aborted; what it began then continues in order to clean up. */
  async #run<T>(op: string, key: string | undefined, { signal }: Op, work: (call: Call) => Promise<T>): Promise<T> {
    const at = { backend: this.name, op, key }
    const linked = new LinkedSignal([signal, this.#closing.signal])
    const progress = { committing: false, started: false }
    try {
      const { root } = this.#ready(at, signal)
      const running = this.#pool.use(
        (connection) => work({ connection, root, at, signal: linked.signal, progress }),
        () => !progress.started && !linked.signal.aborted,
      )
      return await untilAborted(this.#track(running), linked.signal)
    } catch (error) {
      const translated = toSftpError(error, at, signal)
      throw progress.committing ? asAmbiguous(translated) : translated
    } finally {
      linked[Symbol.dispose]()
    }
  }
}

function asAmbiguous({ code, at, cause, detail, retryable }: StorageError): StorageError {
  return new StorageError(code, at, { cause, ...(detail !== undefined && { detail }), retryable, ambiguous: true })
}

/** What an operator should know about a server with fewer extensions than OpenSSH. */
function weaknessesOf(medium: Medium, { fsync }: Settings): string[] {
  if (medium === UNKNOWN) return []
  return [
    ...(fsync && !medium.flushesFiles
      ? ['the server cannot flush files: it may lose what was put when its power fails']
      : []),
    ...(medium.replaces
      ? []
      : ['the server cannot replace files in one step: for a moment a blob is absent while it is overwritten']),
  ]
}

function capabilitiesOf(medium: Medium): Capabilities {
  return Object.freeze<Capabilities>({
    contract: 1,
    range: true,
    ifAbsent: medium.hardLinks,
    ifMatch: false,
    atomicOverwrite: medium.replaces,
    order: true,
    startAfter: true,
    sweep: true,
    etag: 'weak',
    keys: Object.freeze({
      caseSensitive: medium.caseSensitive,
      normalizes: medium.normalizes,
      fileAndPrefix: false,
      maxSegmentBytes: MAX_SEGMENT_BYTES,
    }),
    limits: Object.freeze({ maxConcurrent: MAX_CONCURRENT }),
  })
}
