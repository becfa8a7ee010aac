import { access, constants, realpath, statfs } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout } from 'node:timers/promises'
import {
  type Committed,
  type DiskUsage,
  type DurableEvent,
  type Failure,
  type Logged,
  type Position,
  type Transaction,
  traced,
  type View,
} from '@stored/core'
import { checkOptions, is, needed, type OptionRulesOf, StorageError } from '@stored/core/backend'
import { ACCESS_MODE, type AccessMode, fileMode, makeDirectory, mapFileError, syncDirectory } from '@stored/core/files'
import { type Range, type Tree, type TreeLedger, writerOf } from '@stored/ledger'
import {
  attempt,
  type Caller,
  EventLog,
  type EventLogOptions,
  Group,
  LOG_OPTIONS,
  requireFunction,
  requireResult,
  type Sink,
  TREES,
} from '@stored/ledger/engine'
import { Ballast } from './ballast.ts'
import { Environment, INDEX_FILE, isDamage, isPageWrite, isPanic, MAX_TREES, mapLmdbError } from './environment.ts'
import { FileTail } from './file-tail.ts'
import { FilesInPlace } from './files-in-place.ts'
import { GATE_FILES, Gate } from './gate.ts'
import { requireLocalFileSystem } from './local-file-system.ts'
import { awaitLocks } from './lock-file.ts'
import { Opener } from './opener.ts'
import { DiskReserve, sizeOfDisk } from './reserve.ts'

/** The layout of the trees. A store of another format is refused. */
const FORMAT = 2
const FORMAT_KEY = Buffer.from('format')
const SEQ_KEY = Buffer.from('seq')

const PAGE = 4096
/** What a row may cost beyond the pages of its value: a page it lies on, and one on the way there, both copied on write. */
const PAGES_PER_ROW = 2
/** What a commit may need besides: the upper pages of each tree, and the list of free pages. */
const PAGES_PER_COMMIT = 32

/** Where a group is cut: plans that wait longer hold up other processes. */
const MAX_PLANS = 256
const MAX_GROUP_MS = 5
/** Long enough for a process that waits for the lock to be woken, and to take it. */
const YIELD_MS = 1

/** How an environment is opened. */
export interface LmdbLedgerOptions extends EventLogOptions {
  /** Directory of the environment, on a local disk. It is created if missing. */
  path: string
  /** Who may use the directory and its files, of those that are created now. @default 0o700 */
  mode?: AccessMode
  /** Open it on a network or FUSE file system, where LMDB may lose what was committed. @default false */
  allowNetworkFileSystem?: boolean
  /**
   * Bytes of the disk that puts leave free, in addition to the ballast.
   *
   * @default the larger of 256 MiB and 1 % of the disk, but at most a tenth of it
   */
  reserve?: number
}

export const OPTIONS = {
  path: needed({ ...is.text, doc: 'Directory of the environment, on a local disk. It is created if missing.' }),
  mode: { ...ACCESS_MODE, doc: 'Who may use the directory and its files, of those that are created now.' },
  allowNetworkFileSystem: {
    ...is.boolean,
    default: false,
    doc: 'Open it on a network or FUSE file system, where LMDB may lose what was committed.',
  },
  reserve: {
    ...is.whole(0, undefined, 'of bytes'),
    otherwise: 'the larger of 256 MiB and 1 % of the disk, but at most a tenth of it',
    doc: 'Bytes of the disk that puts leave free, in addition to the ballast.',
  },
  ...LOG_OPTIONS,
} as const satisfies OptionRulesOf<LmdbLedgerOptions>

type Checked = LmdbLedgerOptions & Required<Pick<LmdbLedgerOptions, 'mode' | 'allowNetworkFileSystem'>>

/** What a ledger is made of. */
interface Parts {
  readonly directory: string
  readonly fileMode: number
  readonly opener: Opener
  readonly gate: Gate
  readonly environment: Environment
  readonly trees: Set<Tree>
  readonly space: DiskReserve
  readonly ballast: Ballast
  readonly log: EventLogOptions
}

const OPEN_KEY: unique symbol = Symbol.for('@stored/lmdb open')
/**
 * Directories open in this thread, by whatever copy of this package. Opened twice in one process, LMDB's locks break: to close one
 * descriptor of a file ends all that the process has locked of it. @see fcntl(2), Advisory record locking
 */
const OPEN = openDirectories()

/** A ledger in one LMDB environment: in each process once, in any number of processes of one machine and PID namespace. */
export class LmdbLedger implements TreeLedger {
  readonly #directory: string
  readonly #fileMode: number
  readonly #opener: Opener
  readonly #gate: Gate
  readonly #files: FilesInPlace
  /** Names of the trees in use. */
  readonly #trees: Set<Tree>
  readonly #tail: FileTail
  readonly #reserve: DiskReserve
  readonly #ballast: Ballast
  readonly #sink: Sink
  readonly #log: EventLog
  readonly #listeners = new Set<(failure: Failure) => void>()
  #environment: Environment
  #waiting: Caller[] = []
  /** The last one given out by this process. */
  #ticket = 0
  #committing: Promise<void> | null = null
  /** Where the pages of the present commit may end, in bytes. */
  #expectedEnd = 0
  /** Of all values that it writes. */
  #groupBytes = 0
  #degraded: Failure | null = null
  #closing: Promise<void> | undefined
  #closed = false

  /**
   * @throws {StorageError} PERMISSION_DENIED, NO_SPACE … · MISCONFIGURED for a network file system · INCOMPATIBLE for a store of
   *   another format · CONFLICT while this process, or one in another PID namespace, has it open · UNAVAILABLE while another
   *   program locks its files.
   */
  static async open(options: LmdbLedgerOptions): Promise<LmdbLedger> {
    const at = { op: 'open' }
    const checked = checkOptions(options as Checked, OPTIONS, at)
    const { path: directory, mode, reserve, allowNetworkFileSystem, ...log } = checked
    try {
      await makeDirectory(directory, at, mode)
      // LMDB reports a directory it cannot write to only with its first commit.
      await access(directory, constants.R_OK | constants.W_OK | constants.X_OK)
      if (!allowNetworkFileSystem) requireLocalFileSystem((await statfs(directory)).type)
    } catch (error) {
      throw await mapFileError(error, directory, at)
    }
    const real = await realpath(directory)
    const ballast = new Ballast(real, sizeOfDisk(real), fileMode(mode))
    const space = new DiskReserve(real, reserve, ballast)
    space.requireHeadroom()
    if (OPEN.has(real)) throw new StorageError('CONFLICT', at, { detail: 'this process has the store open already' })
    OPEN.add(real)
    let opener: Opener | undefined
    let gate: Gate | undefined
    let environment: Environment | undefined
    let ledger: LmdbLedger | undefined
    try {
      opener = await Opener.register(real)
      await awaitLocks(
        [...GATE_FILES, INDEX_FILE].map((name) => path.join(real, name)),
        opener,
      )
      gate = await Gate.open(real, { mode: fileMode(mode) })
      const trees = new Set<Tree>(TREES)
      environment = await Environment.open(real, gate, { mode: fileMode(mode), trees })
      ledger = new LmdbLedger({
        directory: real,
        fileMode: fileMode(mode),
        opener,
        gate,
        environment,
        trees,
        space,
        ballast,
        log,
      })
      await ledger.#checkFormat()
      // The environment's files were made just now, or by a process that may not have got to this.
      await syncDirectory(real)
      space.replenish()
      return ledger
    } catch (error) {
      await environment?.close()
      await gate?.close()
      if (ledger) ledger.#tail[Symbol.dispose]()
      OPEN.delete(real)
      // A socket that stays is dead, and the next to open removes it: what failed first is what is told.
      await Promise.allSettled([opener?.close()])
      throw mapLmdbError(error, at)
    }
  }

  private constructor({ directory, fileMode, opener, gate, environment, trees, space, ballast, log }: Parts) {
    this.#log = new EventLog(this, () => this.seq, log)
    this.#directory = directory
    this.#fileMode = fileMode
    this.#opener = opener
    this.#gate = gate
    this.#environment = environment
    this.#trees = trees
    this.#files = new FilesInPlace(directory)
    this.#tail = new FileTail(environment.file, () => space.makeRoom())
    this.#reserve = space
    this.#ballast = ballast
    this.#sink = {
      get: (tree, key, decode) => this.get(tree, key, decode),
      range: (tree, range) => this.range(tree, range),
      put: (tree, key, value) => this.#tree(tree).putSync(key as Buffer, value as Buffer),
      remove: (tree, key) => void this.#tree(tree).removeSync(key as Buffer),
      expect: (rows, bytes) => this.#expect(rows, bytes),
    }
  }

  async look<T>(read: (view: View) => T): Promise<T> {
    requireFunction('a look', read)
    if (this.#closed) throw new StorageError('CLOSED', { op: 'read' })
    // Degraded, it makes no tree any more, and its other rows are read all the same.
    while (this.#environment.lacksTrees && !this.#degraded) await this.transact(() => {})
    this.refresh()
    return requireResult(read(this as unknown as View))
  }

  transact<T>(plan: (tx: Transaction) => T): Promise<Committed<T>> {
    return new Promise((resolve, reject) => {
      requireFunction('a plan', plan)
      if (this.#closing) throw new StorageError('CLOSED', { op: 'commit' })
      this.#requireHealth()
      // What comes in the same turn of the event loop, or while a commit is under way, shares one transaction and one flush.
      this.#waiting.push({ plan, now: Date.now(), resolve, reject })
      if (this.#waiting.length === 1) setImmediate(() => this.#commit())
    })
  }

  record(tx: Transaction, event: DurableEvent): void {
    writerOf(tx).record(event)
  }

  events(o: { since: number | Position; signal: AbortSignal }): AsyncIterable<Logged<DurableEvent>[]> {
    return this.#log.events(o)
  }

  disk(): DiskUsage {
    return this.#reserve.usage
  }

  get degraded(): Failure | null {
    return this.#degraded
  }

  onDegraded(listener: (failure: Failure) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  refresh(): void {
    // Else whoever reads is told.
    if (!this.#files.failure) this.#environment.refresh()
  }

  /** @throws {StorageError} INVALID_ARGUMENT: there are 64 already. Met by a commit, it would fail the plans of others. */
  useTree(tree: Tree): void {
    if (this.#trees.size === MAX_TREES && !this.#trees.has(tree)) {
      const detail = `no room for a tree ${JSON.stringify(tree)}: a ledger has at most ${MAX_TREES} trees`
      throw new StorageError('INVALID_ARGUMENT', { op: 'open' }, { detail })
    }
    this.#trees.add(tree)
  }

  get seq(): number {
    return this.#readNumber(SEQ_KEY) ?? 0
  }

  get<T>(tree: Tree, key: Uint8Array, decode: (value: Buffer) => T): T | undefined {
    const value = read(() => this.#tree(tree).getBinaryFast(key as Buffer))
    // What lmdb-js returns says its length, but is as long as its buffer to what is native, such as toString('hex').
    return value === undefined ? undefined : decode(value.subarray(0, value.length))
  }

  range(tree: Tree, { from, to, limit = 500 }: Range): [Buffer, Buffer][] {
    const options = { start: from as Buffer, end: to as Buffer, limit }
    return read(() => {
      const rows: [Buffer, Buffer][] = []
      // Not by Array.from(): it takes half as long again.
      for (const { key, value } of this.#tree(tree).getRange(options)) rows.push([key, value])
      return rows
    })
  }

  requireSpace(bytes: number): void {
    this.#requireHealth()
    this.#reserve.require(bytes)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    while (this.#waiting.length > 0 || this.#committing) {
      this.#commit()
      await this.#committing
    }
    this.#closed = true
    await this.#ballast.close()
    this.#files.prepareToClose()
    await this.#environment.close()
    await this.#gate.close()
    this.#tail[Symbol.dispose]()
    await this.#opener.close().finally(() => OPEN.delete(this.#directory))
  }

  #tree(tree: Tree): ReturnType<Environment['tree']> {
    if (this.#closed) throw new StorageError('CLOSED', { op: 'read' })
    this.#requireFiles(this.#files.failure)
    return this.#environment.tree(tree)
  }

  /** One at a time: when one fails, the next must not have begun. */
  #commit(): void {
    if (this.#committing || this.#waiting.length === 0) return
    this.#committing = this.#commitGroup().then((tell) => {
      this.#committing = null
      for (const one of tell) one()
      if (this.#waiting.length > 0) this.#goOn()
    })
  }

  /** In a turn of its own: callers that were told just now may have more to write. */
  #goOn(): void {
    const next = () => this.#commit()
    // LMDB's lock favours the thread that let go of it last: without a pause another process might never get it.
    if (this.#gate.isAwaited) setTimeout(YIELD_MS, undefined, { ref: true }).then(next)
    else setImmediate(next)
  }

  /** @returns What tells each caller. */
  async #commitGroup(): Promise<(() => void)[]> {
    const inLine = this.#waiting.length
    let group: Group | undefined
    try {
      this.#requireFiles(this.#files.commitFailure)
      this.#requireHealth()
      await this.#environment.openTrees()
      this.#groupBytes = 0
      const write = () => {
        // Those of a table that was made a moment ago: the plans stay in line until they are opened.
        if (this.#environment.lacksTrees) return
        this.#expectedEnd = this.#environment.end + PAGES_PER_COMMIT * PAGE
        group = new Group(this.#sink, this.#log, { seq: this.seq, ticket: this.#ticket })
        this.#runWaiting(group)
      }
      await traced(
        'commit',
        {},
        () => this.#environment.commit(write),
        () => this.#groupBytes,
      )
      return group?.tell ?? []
    } catch (error) {
      const failure = StorageError.is(error) ? error : await this.#failure(error, group?.numbers.seq)
      // Those that came into no group waited for this commit, and are told as well. Plans that came later stay in line.
      const failed = group?.callers ?? this.#waiting.splice(0, inLine)
      return failed.map((caller) => () => caller.reject(failure))
    }
  }

  /** Plans that are cut off stay in line for the next group. */
  #runWaiting(group: Group): void {
    const { seq } = group.numbers
    const end = performance.now() + MAX_GROUP_MS
    for (let caller = this.#waiting.shift(); caller; caller = this.#waiting.shift()) {
      group.add(caller)
      if (group.callers.length === MAX_PLANS || performance.now() > end) break
    }
    group.end()
    this.#ticket = group.numbers.ticket
    if (group.numbers.seq !== seq) this.#tree('meta').putSync(SEQ_KEY, encodeNumber(group.numbers.seq))
  }

  #expect(rows: number, bytes: number): void {
    const end = this.#expectedEnd + rows * PAGES_PER_ROW * PAGE + bytes
    this.#tail.provide(end)
    this.#expectedEnd = end
    this.#groupBytes += bytes
  }

  /**
   * Why a commit failed, and whether `seq`, its last, is there all the same; `undefined`: no plan ran, none can be there.
   *
   * A page that was not written is written again by the next commit. After a failed flush nothing of the commit is there either,
   * but the system may take pages for written that are not: no later flush proves anything, so none is tried.
   */
  async #failure(cause: unknown, seq: number | undefined): Promise<StorageError> {
    const at = { op: 'commit' }
    if (isPageWrite(cause)) {
      const { code, detail } = mapLmdbError(cause, at)
      return new StorageError(code === 'NO_SPACE' ? code : 'UNAVAILABLE', at, { cause, ...(detail && { detail }) })
    }
    if (isDamage(cause)) {
      const failure = mapLmdbError(cause, at)
      this.#degrade(failure)
      return failure
    }
    const ambiguous = await this.#mayBeThere(seq)
    const detail = 'the index could not be written; check the disk, then open the store again'
    const failure = new StorageError('UNAVAILABLE', at, { cause, ambiguous, detail })
    this.#degrade(failure)
    return failure
  }

  async #mayBeThere(seq: number | undefined): Promise<boolean> {
    try {
      return seq !== undefined && this.seq >= seq
    } catch {
      // Published or not: what LMDB wrote last, and then took back, may come to the disk in either order. Read what it says now.
      await this.#reopen()
      return true
    }
  }

  /** Without it nothing could be read, either. Fails it, reads say so. */
  async #reopen(): Promise<void> {
    try {
      await this.#environment.close()
      this.#environment = await Environment.open(this.#directory, this.#gate, {
        mode: this.#fileMode,
        trees: this.#trees,
      })
    } catch {
      // The failure that led here is the one to report.
    }
  }

  #degrade({ code, message }: StorageError): void {
    const failure = { code, message }
    this.#degraded = failure
    for (const listener of this.#listeners) attempt(() => listener(failure))
    this.#listeners.clear()
  }

  #requireFiles(failure: StorageError | null): void {
    if (!failure) return
    if (!this.#degraded) this.#degrade(failure)
    throw failure
  }

  #requireHealth(): void {
    this.#requireFiles(this.#files.failure)
    if (!this.#degraded) return
    const detail = `the index is read only since a write failed: ${this.#degraded.message}`
    throw new StorageError('UNAVAILABLE', { op: 'commit' }, { detail, retryable: false })
  }

  async #checkFormat(): Promise<void> {
    const format = this.#readNumber(FORMAT_KEY)
    if (format === undefined)
      await this.#environment.commit(() => {
        this.#tree('meta').putSync(FORMAT_KEY, encodeNumber(FORMAT))
      })
    else if (format !== FORMAT)
      throw new StorageError(
        'INCOMPATIBLE',
        { op: 'open' },
        { detail: `the store has format ${format}; this version reads ${FORMAT}` },
      )
  }

  #readNumber(key: Buffer): number | undefined {
    return this.get('meta', key, (value) => value.readUIntBE(0, 6))
  }
}

function encodeNumber(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(6)
  bytes.writeUIntBE(value, 0, 6)
  return bytes
}

function read<T>(call: () => T): T {
  try {
    return call()
  } catch (error) {
    throw isPanic(error) || isDamage(error) ? mapLmdbError(error, { op: 'read' }) : error
  }
}

function openDirectories(): Set<string> {
  const shared = globalThis as { [OPEN_KEY]?: Set<string> }
  shared[OPEN_KEY] ??= new Set()
  return shared[OPEN_KEY]
}
