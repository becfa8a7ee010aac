import path from 'node:path'
import { setTimeout } from 'node:timers/promises'
import {
  type Committed,
  type DiskUsage,
  type DurableEvent,
  type Failure,
  type LedgerTable,
  type Logged,
  type Position,
  type Transaction,
  traced,
  type View,
} from '@stored/core'
import { checkOptions, is, needed, type OptionRulesOf, StorageError } from '@stored/core/backend'
import { ACCESS_MODE, type AccessMode, syncDirectory } from '@stored/core/files'
import { type Piece, type Range, type Tree, type TreeLedger, writerOf } from '@stored/ledger'
import {
  attempt,
  type Caller,
  EventLog,
  type EventLogOptions,
  ExtensionTable,
  Group,
  LOG_OPTIONS,
  pieceIn,
  requireFunction,
  requireResult,
  type Sink,
  TREES,
} from '@stored/ledger/engine'
import { Environment, INDEX_FILE, isDamage, isPageWrite, isPanic, MAX_TREES, mapLmdbError } from './environment.ts'
import { FileTail } from './file-tail.ts'
import { FilesInPlace } from './files-in-place.ts'
import { Gate, type Turns, UNSHARED } from './gate.ts'
import { requireRestored, sweepNewIndex } from './new-index.ts'
import { type Occupied, occupy } from './occupy.ts'

/** The layout of the trees. A store of another format is refused. */
export const FORMAT = 3
/** What `stored upgrade` reads. */
export const FORMER_FORMAT = 2
const FORMAT_KEY = Buffer.from('format')
const SEQ_KEY = Buffer.from('seq')

const PAGE = 4096
/** What a row may cost beyond the pages of its value: a page it lies on, and one on the way there, both copied on write. */
const PAGES_PER_ROW = 2
/** What a commit may need besides: the upper pages of each tree, and the list of free pages. */
const PAGES_PER_COMMIT = 32

/** Where a group is cut: plans that wait longer hold up other processes. */
const MAX_PLANS = 256
/** Of processor time: on a busy machine, groups cut by the clock would be small, and flushes many, when they cost most. */
const MAX_GROUP_MS = 5
/** By the clock: plans may wait for a disk, too. */
const MAX_LOCK_MS = 25
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

type Rows = ReturnType<Environment['tree']>

/** What a ledger is made of. */
interface Parts {
  readonly place: Occupied
  readonly gate: Turns
  readonly environment: Environment
  readonly files: FilesInPlace
  readonly trees: Set<Tree>
  readonly log: EventLogOptions
}

/** A ledger in one LMDB environment: in each process once, in any number of processes of one machine and PID namespace. */
export class LmdbLedger implements TreeLedger {
  readonly #place: Occupied
  readonly #gate: Turns
  readonly #files: FilesInPlace
  /** Names of the trees in use. */
  readonly #trees: Set<Tree>
  readonly #tail: FileTail
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
    const { path: _, mode: __, reserve: ___, allowNetworkFileSystem: ____, ...log } = checked
    const place = await occupy(checked)
    let gate: Gate | undefined
    let environment: Environment | undefined
    let ledger: LmdbLedger | undefined
    try {
      const { directory, fileMode: mode } = place
      gate = await Gate.open(directory, { mode })
      const trees = new Set<Tree>(['meta'])
      const file = path.join(directory, INDEX_FILE)
      await gate.open(async () => {
        await requireRestored(directory)
        await sweepNewIndex(directory)
      })
      environment = await Environment.open(file, gate, { mode, trees })
      if (environment.isEmpty) for (const tree of TREES) trees.add(tree)
      await environment.openTrees()
      ledger = new LmdbLedger({ place, gate, environment, files: FilesInPlace.of(directory), trees, log })
      await ledger.#checkFormat()
      // Not before: a store of another format is left as it is.
      await ledger.#useAllTrees()
      // The environment's files were made just now, or by a process that may not have got to this.
      await syncDirectory(directory)
      place.space.replenish()
      return ledger
    } catch (error) {
      await environment?.close()
      await gate?.close()
      if (ledger) await ledger.#tail.close()
      // What failed first is what is told.
      await Promise.allSettled([place.leave()])
      throw mapLmdbError(error, { op: 'open' })
    }
  }

  /**
   * Makes an index in a file that nobody knows yet. It is of no use until it is closed: no commit is flushed.
   *
   * @param place Left alone when the ledger is closed.
   * @param o.seq The number of the last commit, from which it goes on.
   */
  static make(file: string, place: Occupied, o: { readonly seq: number }): Promise<LmdbLedger> {
    return LmdbLedger.#openAlone(file, place, async (ledger) => {
      await ledger.#environment.commit(() => {
        ledger.#tail.provide(ledger.#environment.end + PAGES_PER_COMMIT * PAGE)
        ledger.#tree('meta').putSync(FORMAT_KEY, encodeNumber(FORMAT))
        ledger.#tree('meta').putSync(SEQ_KEY, encodeNumber(o.seq))
      })
    })
  }

  /** The same, of one that is there already. @throws {StorageError} INCOMPATIBLE, CORRUPT */
  static change(file: string, place: Occupied): Promise<LmdbLedger> {
    return LmdbLedger.#openAlone(file, place, async (ledger) => requireFormat(ledger.#readNumber(FORMAT_KEY) ?? 0))
  }

  static async #openAlone(
    file: string,
    place: Occupied,
    begin: (ledger: LmdbLedger) => Promise<void>,
  ): Promise<LmdbLedger> {
    const trees = new Set<Tree>(TREES)
    const environment = await Environment.open(file, UNSHARED, { mode: place.fileMode, trees, isFlushed: false })
    let ledger: LmdbLedger | undefined
    try {
      await environment.openTrees()
      const files = FilesInPlace.alone(file)
      const shared = { ...place, leave: async () => {}, ballast: undefined }
      ledger = new LmdbLedger({ place: shared, gate: UNSHARED, environment, files, trees, log: {} })
      await begin(ledger)
      return ledger
    } catch (error) {
      await environment.close()
      if (ledger) await ledger.#tail.close()
      throw mapLmdbError(error, { op: 'open' })
    }
  }

  /** Writes the rows as they are at one moment into a new file, while others go on to write. */
  async copyTo(file: string): Promise<void> {
    this.#requireFiles(this.#files.failure)
    await this.#environment.copyTo(file)
  }

  /** Bytes that the rows take, without free room at the end of the file. */
  get size(): number {
    return this.#environment.end
  }

  private constructor({ place, gate, environment, files, trees, log }: Parts) {
    this.#log = new EventLog(this, () => this.seq, log)
    this.#place = place
    this.#gate = gate
    this.#environment = environment
    this.#trees = trees
    this.#files = files
    this.#tail = new FileTail(environment.file, () => place.space.makeRoom())
    this.#sink = {
      get: (tree, key, decode) => this.get(tree, key, decode),
      range: (tree, range) => this.range(tree, range),
      piece: (piece, decode) => this.piece(piece, decode),
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

  table<T>(owner: string, name: string): LedgerTable<T> {
    return new ExtensionTable(this, owner, name)
  }

  record(tx: Transaction, event: DurableEvent): void {
    writerOf(tx).record(event)
  }

  events(o: { since: number | Position; signal: AbortSignal }): AsyncIterable<Logged<DurableEvent>[]> {
    return this.#log.events(o)
  }

  disk(): DiskUsage {
    return this.#place.space.usage
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
    return readRow(this.#tree(tree), key, decode)
  }

  range(tree: Tree, range: Range): [Buffer, Buffer][] {
    return readRows(this.#tree(tree), range)
  }

  piece<T>(piece: Piece, decode: (bytes: Buffer) => T): T | undefined {
    return pieceIn(this, piece, decode)
  }

  requireSpace(bytes: number): void {
    this.#requireHealth()
    this.#place.space.require(bytes)
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
    await this.#place.ballast?.close()
    this.#files.prepareToClose()
    await this.#environment.close()
    await this.#gate.close()
    await this.#tail.close()
    await this.#place.leave()
  }

  #tree(tree: Tree): Rows {
    if (this.#closed) throw new StorageError('CLOSED', { op: 'read' })
    this.#requireFiles(this.#files.failure)
    return this.#environment.tree(tree)
  }

  /** One at a time: when one fails, the next must not have begun. */
  #commit(): void {
    if (this.#committing || this.#waiting.length === 0) return
    this.#committing = this.#commitGroup().then((tell) => {
      this.#committing = null
      if (!this.#degraded) this.#tail.prepare(this.#expectedEnd)
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
    const isOver = countdown()
    for (let caller = this.#waiting.shift(); caller; caller = this.#waiting.shift()) {
      group.add(caller)
      if (group.callers.length === MAX_PLANS || isOver()) break
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
      this.#environment = await Environment.open(this.#environment.file, this.#gate, {
        mode: this.#place.fileMode,
        trees: this.#trees,
      })
      await this.#environment.openTrees()
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
    else requireFormat(format)
  }

  async #useAllTrees(): Promise<void> {
    for (const tree of TREES) this.#trees.add(tree)
    await this.#environment.openTrees()
  }

  #readNumber(key: Buffer): number | undefined {
    return this.get('meta', key, (value) => value.readUIntBE(0, 6))
  }
}

/** @returns Whether plans have run for so long that their group is to be cut. */
function countdown(): () => boolean {
  const begun = performance.now()
  // Node.js 22 does not know it of a thread: there the clock decides.
  const before = process.threadCpuUsage?.()
  return () => {
    const ms = performance.now() - begun
    if (ms <= MAX_GROUP_MS || ms > MAX_LOCK_MS || !before) return ms > MAX_GROUP_MS
    const { user, system } = process.threadCpuUsage(before)
    return (user + system) / 1000 > MAX_GROUP_MS
  }
}

/** @throws {StorageError} INCOMPATIBLE, saying what to do. */
export function requireFormat(format: number): void {
  if (format === FORMAT) return
  const advice = format === FORMER_FORMAT ? 'run `stored upgrade`' : 'use the version of StoreD that wrote it'
  const detail = `the store has format ${format}; this version reads ${FORMAT}: ${advice}`
  throw new StorageError('INCOMPATIBLE', { op: 'open' }, { detail })
}

/** Of an index: 0 for one that is new. */
export function formatOf(environment: Environment): number {
  return numberIn(environment, FORMAT_KEY)
}

/** The number of the last commit of an index. */
export function seqOf(environment: Environment): number {
  return numberIn(environment, SEQ_KEY)
}

function numberIn(environment: Environment, key: Buffer): number {
  return readRow(environment.tree('meta'), key, (value) => value.readUIntBE(0, 6)) ?? 0
}

function encodeNumber(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(6)
  bytes.writeUIntBE(value, 0, 6)
  return bytes
}

export function readRow<T>(tree: Rows, key: Uint8Array, decode: (value: Buffer) => T): T | undefined {
  const value = read(() => tree.getBinaryFast(key as Buffer))
  // What lmdb-js returns says its length, but is as long as its buffer to what is native, such as toString('hex').
  return value === undefined ? undefined : decode(value.subarray(0, value.length))
}

export function readRows(tree: Rows, { from, to, limit = 500 }: Range): [Buffer, Buffer][] {
  const options = { start: from as Buffer, end: to as Buffer, limit }
  return read(() => {
    const rows: [Buffer, Buffer][] = []
    // Not by Array.from(): it takes half as long again.
    for (const { key, value } of tree.getRange(options)) rows.push([key, value])
    return rows
  })
}

function read<T>(call: () => T): T {
  try {
    return call()
  } catch (error) {
    throw isPanic(error) || isDamage(error) ? mapLmdbError(error, { op: 'read' }) : error
  }
}
