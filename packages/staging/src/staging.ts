import { readdir, statfs, unlink, utimes } from 'node:fs/promises'
import path from 'node:path'
import { setImmediate } from 'node:timers/promises'
import type { BlobId, Chunks, OpenedStaged, Rev, Staged, Staging, StagingUsage, Transaction, View } from '@stored/core'
import { checkOptions, is, mapErrno, needed, type OptionRulesOf, StorageError } from '@stored/core/backend'
import { ACCESS_MODE, type AccessMode, fileMode, makeDirectory } from '@stored/core/files'
import {
  decodeNumbers,
  encodeNumbers,
  type Row as LedgerRow,
  type Piece,
  packedBytes,
  piecesOf,
  type Reader,
  readerOf,
  sparsePacks,
  Table,
  type TreeLedger,
  type Writer,
  writerOf,
} from '@stored/ledger'
import { newName, ownerOf } from './owner.ts'
import { Room, type Share } from './room.ts'
import { SharedSync } from './shared-sync.ts'
import { readFileBody, readNamedFile, writeFileBody } from './staged-file.ts'

/** Up to this size bytes are part of the commit; above it they are a file. At 256 KiB both cost the same (measured). */
const INLINE_MAX = 64 * 1024

/** How much may be staged, and what a put does beyond. */
export interface DurableStagingOptions {
  /** The ledger of the store. */
  ledger: TreeLedger
  /** Directory of the files. It is created if missing. */
  path: string
  /** Who may use the store. @default 0o700 */
  mode?: AccessMode
  /** Bytes up to which a blob is written with the commit; a larger one is a file. @default 65536 */
  inlineMax?: number
  /**
   * Bytes of all blobs that any process keeps, and of those that this one is receiving.
   *
   * @default a quarter of the disk
   */
  limit?: number
  /** Fraction of `limit`, from 0 to 1, above which blobs with one verified copy may leave. @default 0.75 */
  highWater?: number
}

export const OPTIONS = {
  ledger: needed({ ...is.object, doc: 'The ledger of the store.' }),
  path: needed({ ...is.text, doc: 'Directory of the files. It is created if missing.' }),
  mode: { ...ACCESS_MODE, doc: 'Who may use the store.' },
  inlineMax: {
    ...is.whole(0, undefined, 'of bytes'),
    default: INLINE_MAX,
    doc: 'Bytes up to which a blob is written with the commit; a larger one is a file.',
  },
  limit: {
    ...is.whole(1, undefined, 'of bytes'),
    otherwise: 'a quarter of the disk',
    doc: 'Bytes of all blobs that any process keeps, and of those that this one is receiving.',
  },
  highWater: {
    expected: 'a number from 0 to 1',
    holds: (value) => typeof value === 'number' && value >= 0 && value <= 1,
    shown: 'number',
    default: 0.75,
    doc: 'Fraction of `limit`, from 0 to 1, above which blobs with one verified copy may leave.',
  },
} as const satisfies OptionRulesOf<DurableStagingOptions>

/** What was checked, with its defaults, and how much may be staged. */
interface Prepared {
  readonly options: Required<DurableStagingOptions>
  readonly room: Room
}

/** Where the bytes of a blob are: in a pack, or in a file. */
type Row =
  | { readonly size: number; readonly pack: number; readonly offset: number }
  | { readonly size: number; readonly file: string }

/** When a blob was marked. */
type Mark = { readonly at: number }

/** Bytes that were received, until they are kept or discarded. */
export interface Received extends Staged {
  readonly share: Share
  /** Whether it leaves alone what is kept already. */
  readonly yields?: boolean
  /** Set once the commit that keeps it is durable: from then on only a row decides over it. */
  kept: boolean
  /** Until the file in whose place it came is gone. */
  replacing?: Promise<unknown>
  readonly bytes?: Uint8Array
  readonly file?: string
  /** When the file was last known to be this process's, in milliseconds. */
  at?: number
}

/** How bytes are received. */
interface Reading {
  readonly signal: AbortSignal
  /** Nobody else writes to a chunk any more. */
  readonly owned?: boolean
}

type Steps = Iterator<Uint8Array, void, void> | AsyncIterator<Uint8Array, void, void>

/** Names of files that the open stagings of this process receive: none takes those of another for debris. */
const RECEIVING = new Set<ReadonlySet<string>>()
/** How long a file that nobody renewed may still be kept, in milliseconds. */
const KEPT_WITHIN_MS = 24 * 60 * 60 * 1000
/** A sweep takes a file for abandoned an hour after it was last touched. */
const RENEW_EVERY_MS = 15 * 60 * 1000

/**
 * Bytes owed to a backend, as tables of a ledger and files beside it:
 *
 * - tree `blobs`, by id: `S` where the blob's bytes are · `R` when it was marked releasable
 * - packs: the bytes of small blobs, those of a commit side by side
 * - tree `bytes`: `F` + name of a file → nothing, so that a file without such a row is known to be debris · `R` + when it was marked +
 *   id → nothing, so that releasable blobs are found by age · `X` + name of a file → when it was swept, in milliseconds: its process may
 *   live, so no plan may keep it
 * - tree `meta`: `staged` → bytes that are kept in files, and number of blobs kept
 */
export class DurableStaging implements Staging {
  readonly ledger: TreeLedger
  protected readonly directory: string
  readonly #fileMode: number
  readonly #inlineMax: number
  readonly #rows: Table<Row>
  readonly #marks: Table<Mark>
  protected readonly room: Room
  readonly #names: SharedSync
  readonly #receiving = new Set<string>()
  #sweeping: Promise<number> = Promise.resolve(0)
  #compacting: Promise<void> | undefined
  /** Files of rows that are gone. */
  readonly #leaving = new Set<Promise<boolean>>()
  #closed = false

  /**
   * Sweeps the directory in the background: `claimStaging` says first whether it belongs to the ledger.
   *
   * @throws {StorageError} INVALID_ARGUMENT: `limit` or `highWater` · what ails the directory.
   */
  static async open(options: DurableStagingOptions): Promise<DurableStaging> {
    const staging = new DurableStaging(await DurableStaging.prepare(options))
    // In the background: a large directory must not delay the first put.
    staging.#sweeping = staging.sweep()
    staging.#sweeping.catch(() => {}) // Reported by close().
    return staging
  }

  /** Makes the directory where it is missing. */
  protected static async prepare(given: DurableStagingOptions): Promise<Prepared> {
    const options = checkOptions(given as Required<DurableStagingOptions>, OPTIONS, { op: 'open' })
    const { ledger, path, mode, highWater } = options
    await makeDirectory(path, { op: 'open' }, mode)
    const limit = options.limit ?? Math.floor((await sizeOfDisk(path)) / 4)
    return {
      options,
      room: new Room({ limit, highWater: limit * highWater, kept: () => keptIn(ledger).bytes + packedBytes(ledger) }),
    }
  }

  protected constructor({ options, room }: Prepared) {
    const { ledger, path: directory, mode, inlineMax } = options
    this.ledger = ledger
    this.directory = directory
    this.#fileMode = fileMode(mode)
    this.#inlineMax = inlineMax
    this.#rows = new Table(ledger, 'blobs', 'S')
    this.#marks = new Table(ledger, 'blobs', 'R')
    this.room = room
    this.#names = new SharedSync(directory)
    RECEIVING.add(this.#receiving)
  }

  async receive(
    source: Chunks,
    o: { signal: AbortSignal; size?: number | undefined; whenFull: 'wait' | 'refuse'; owned?: boolean },
  ): Promise<Received> {
    const share = this.room.share(o)
    const steps = Symbol.iterator in source ? source[Symbol.iterator]() : source[Symbol.asyncIterator]()
    try {
      const waiting = share.require(o.size ?? 0)
      if (waiting) await waiting
      const received = await this.#read(steps, share, o)
      share.trim(received.size)
      return received
    } catch (error) {
      share.trim(0)
      // Ended here, too: a generator over the source that never began has no `finally`. What ending it throws says less than `error`.
      await (async () => steps.return?.())().catch(() => {})
      throw error
    }
  }

  async #read(steps: Steps, share: Share, { signal, owned = false }: Reading): Promise<Received> {
    const head: Uint8Array[] = []
    let size = 0
    while (true) {
      const step = steps.next()
      const next = 'then' in step ? await step : step
      if (next.done) {
        this.ledger.requireSpace(size)
        return this.#inline(head, size, share)
      }
      size += next.value.length
      const isSmall = size <= this.#inlineMax
      // A copy where it is held: the source may use its buffer again.
      head.push(owned || !isSmall ? next.value : Buffer.from(next.value))
      const waiting = share.require(size)
      if (waiting) await waiting
      if (!isSmall) return this.#toFile(head, steps, share, { signal, owned })
    }
  }

  keep(tx: Transaction, id: BlobId, staged: Staged): void {
    // Another staging may take its files for debris by now.
    if (this.#closed) throw new StorageError('CLOSED', { op: 'put', key: id })
    const received = staged as Received
    const { bytes, file, size, at = tx.now } = received
    const writer = writerOf(tx)
    const former = this.#rows.get(this.#rowKey(id), writer)?.value
    if (former && this.#isSame(former, received, writer)) return
    if (file !== undefined && (tx.now - at > KEPT_WITHIN_MS || has(writer, sweptKey(file)))) throw swept(id)
    const replaced = former && removeBytes(writer, former)
    addKept(writer, (bytes ? 0 : size) - bytesInFile(former), former ? 0 : 1)
    if (bytes) this.#append(writer, id, bytes)
    else {
      writer.put('bytes', fileKey(file as string), NOTHING)
      this.#rows.put(tx, this.#rowKey(id), { size, file: file as string })
    }
    tx.afterwards(() => this.#kept(received, replaced))
  }

  #append(writer: Writer, id: BlobId, bytes: Uint8Array): void {
    const { pack, offset } = writer.append(hashOf(id), bytes)
    this.#rows.putNow(writer, this.#rowKey(id), { size: bytes.length, pack, offset })
  }

  /** Until the commit is durable its bytes are counted as being received. */
  #kept(received: Received, replaced: string | undefined): void {
    received.kept = true
    received.share.trim(0)
    if (replaced !== undefined) received.replacing = this.#letGo(replaced)
  }

  release(tx: Transaction, id: BlobId): void {
    const writer = writerOf(tx)
    this.#unmark(writer, id)
    const row = this.#rows.get(this.#rowKey(id), writer)?.value
    if (!row) return
    this.#rows.remove(tx, this.#rowKey(id))
    addKept(writer, -bytesInFile(row), -1)
    const file = removeBytes(writer, row)
    tx.afterwards(() => {
      if (file !== undefined) void this.#letGo(file)
      else this.#compactSoon()
      this.room.recheck()
    })
  }

  usage(): StagingUsage {
    const { used: bytes, limit, excess } = this.room
    return { bytes, count: keptIn(this.ledger).count, limit, excess }
  }

  isAboveHighWater(): boolean {
    return this.room.excess > 0
  }

  onFull(listener: () => void): () => void {
    return this.room.onFull(listener)
  }

  refuseWaiting(why: string): void {
    this.room.refuseWaiting(why)
  }

  recheck(): void {
    this.room.recheck()
    // Whoever released it may not tell again once what is left was moved.
    if (this.room.isAwaited) this.#compactSoon()
  }

  markReleasable(tx: Transaction, id: BlobId): void {
    // A clock may stand before 1970.
    this.markReleasableAt(tx, id, Math.max(0, tx.now))
  }

  protected markReleasableAt(tx: Transaction, id: BlobId, at: number): void {
    const writer = writerOf(tx)
    const key = this.#markKey(id)
    // Its age is that of its first mark.
    if (this.#marks.ticket(key, writer) !== undefined) return
    this.#marks.put(tx, key, { at })
    writer.put('bytes', markKey(at, id), NOTHING)
  }

  unmarkReleasable(tx: Transaction, id: BlobId): void {
    this.#unmark(writerOf(tx), id)
  }

  async releasable({ limit }: { limit: number }): Promise<BlobId[]> {
    const range = { from: FIRST_MARK, to: AFTER_MARKS, limit }
    for (;;) {
      const { ids, astray } = await this.ledger.look((view) => {
        const reader = readerOf(view)
        const keys = reader.range('bytes', range).map(([key]) => key)
        return { ids: keys.map(markedId), astray: keys.filter((key) => !this.#isMark(reader, key)) }
      })
      if (astray.length === 0) return ids
      // An earlier version, at work beside this one, takes a mark away by another number. Such a row would be found first for good.
      await this.ledger.transact((tx) => {
        const writer = writerOf(tx)
        for (const key of astray) if (!this.#isMark(writer, key)) writer.remove('bytes', key)
      })
    }
  }

  /** Whether a row that finds a mark by its age leads to one. */
  #isMark(reader: Reader, key: Buffer): boolean {
    const id = markedId(key)
    const mark = this.#marks.get(this.#markKey(id), reader)
    return mark !== undefined && markRowOf(mark, id).equals(key)
  }

  has(view: View, id: BlobId): boolean {
    return this.#rows.ticket(this.#rowKey(id), readerOf(view)) !== undefined
  }

  inline(view: View, id: BlobId): Buffer | null {
    return this.#find(readerOf(view), id, {})?.bytes ?? null
  }

  async open(
    id: BlobId,
    o: { signal: AbortSignal; offset?: number; length?: number; toClone?: boolean },
  ): Promise<OpenedStaged | null> {
    for (let before: bigint | undefined; ; ) {
      const found = await this.ledger.look((view) => this.#find(readerOf(view), id, o))
      if (!found) return null
      const { row, bytes, offset, end } = found
      const { size } = row.value
      const rev = String(row.ticket) as Rev
      if (bytes) return { size, rev, body: once(bytes), [Symbol.asyncDispose]: async () => {} }
      // A row that is still the same lost its bytes.
      if (row.ticket === before || !('file' in row.value)) throw lost(id)
      const file = path.join(this.directory, row.value.file)
      const read = { offset, end, signal: o.signal }
      const opened = await (o.toClone ? readNamedFile(file, read) : readFileBody(file, read))
      if (opened) return { size, rev, ...opened }
      // Released since the look: look again.
      before = row.ticket
    }
  }

  /** The row of a blob and its small bytes, of one moment. */
  #find(reader: Reader, id: BlobId, o: { offset?: number; length?: number }) {
    const row = this.#rows.get(this.#rowKey(id), reader)
    if (!row) return null
    const { size } = row.value
    const offset = Math.min(o.offset ?? 0, size)
    const end = Math.min(offset + (o.length ?? size), size)
    if ('file' in row.value) return { row, offset, end }
    const copy = (value: Buffer) => Buffer.from(value.subarray(offset, end))
    return { row, offset, end, bytes: reader.piece(pieceOf(row.value), copy) }
  }

  /**
   * Removes files that no commit named and no living process is writing; those of processes that cannot be seen from here, such
   * as in another container, an hour after they were last written to.
   *
   * @returns How many.
   */
  async sweep(): Promise<number> {
    let count = 0
    const names = await readdir(this.directory).catch((error) => {
      throw mapErrno(error, { op: 'sweep' })
    })
    for (const name of names) {
      if (this.#closed) break
      if (isReceiving(name)) continue
      const owner = await ownerOf(path.join(this.directory, name), name)
      if (owner === 'alive') continue
      // What a dead process wrote it keeps no more; one that cannot be seen may live.
      if (owner === 'dead' ? await this.#isKept(name) : !(await this.#giveUp(name))) continue
      if (await this.#discard(name)) count++
    }
    await this.#forgetSwept()
    await this.#compact()
    return count
  }

  /** Behind whatever else this turn of the event loop releases. */
  #compactSoon(): void {
    this.#compacting ??= setImmediate()
      .then(() => this.#compact())
      // Nobody waits for it: what is left is met by the next release.
      .catch(() => {})
      .finally(() => {
        this.#compacting = undefined
      })
  }

  /** Moves what is left in packs that are nearly empty: a plan each. One that is damaged stays as it is. */
  async #compact(): Promise<void> {
    for (let after = -1; !this.#closed; ) {
      const behind = after
      const [pack] = await this.ledger.look((view) => sparsePacks(readerOf(view), { after: behind, limit: 1 }))
      if (pack === undefined) break
      await this.ledger
        .transact((tx) => this.#rewrite(writerOf(tx), pack))
        .catch((error) => {
          if (!StorageError.is(error) || error.code !== 'CORRUPT' || this.ledger.degraded) throw error
        })
      after = pack
    }
    // Here, or by another process meanwhile.
    this.room.recheck()
  }

  #rewrite(writer: Writer, pack: number): void {
    for (const { owner, piece } of piecesOf(writer, pack)) {
      const id = idOf(owner)
      const row = this.#rows.get(this.#rowKey(id), writer)?.value
      if (!row || 'file' in row || row.pack !== pack || row.offset !== piece.offset) continue
      const bytes = writer.piece(piece, (value) => Buffer.from(value))
      if (!bytes) continue
      writer.discard(piece)
      this.#append(writer, id, bytes)
    }
  }

  /** Notes that a file is about to be removed: whatever plan would keep it from now on fails. @returns `false`: it is kept. */
  async #giveUp(file: string): Promise<boolean> {
    const { value } = await this.ledger.transact((tx) => {
      const writer = writerOf(tx)
      if (has(writer, fileKey(file))) return false
      writer.put('bytes', sweptKey(file), encodeNumbers([tx.now]))
      return true
    })
    return value
  }

  /** Removes the rows of swept files that are too old to be kept, were they still there. */
  async #forgetSwept(): Promise<void> {
    if (this.#closed || !(await this.ledger.look((view) => firstSwept(readerOf(view)).length > 0))) return
    await this.ledger.transact((tx) => {
      const writer = writerOf(tx)
      for (const [key, value] of firstSwept(writer)) if (isPast(value, tx.now)) writer.remove('bytes', key)
    })
  }

  async close(): Promise<void> {
    this.#closed = true
    this.room.close(new StorageError('CLOSED', { op: 'put' }))
    RECEIVING.delete(this.#receiving)
    await this.#sweeping
    await this.#compacting
    await Promise.all(this.#leaving)
  }

  #letGo(file: string): Promise<unknown> {
    const leaving = this.#discard(file).finally(() => this.#leaving.delete(leaving))
    this.#leaving.add(leaving)
    return leaving
  }

  #inline(chunks: readonly Uint8Array[], size: number, share: Share): Received {
    const [first] = chunks
    const bytes = first && chunks.length === 1 ? first : Buffer.concat(chunks, size)
    return { size, bytes, share, kept: false, [Symbol.asyncDispose]: async () => share.trim(0) }
  }

  async #toFile(head: Uint8Array[], rest: Steps, share: Share, o: Reading): Promise<Received> {
    const file = newName()
    this.#receiving.add(file)
    try {
      const require = async (bytes: number, total: number) => {
        await share.require(total)
        this.ledger.requireSpace(bytes)
      }
      const size = await writeFileBody(path.join(this.directory, file), prepend(head, rest), {
        ...o,
        require,
        mode: this.#fileMode,
      })
      // The name must survive a power cut as well: without it the file may come back under no name at all.
      await this.#names.run()
      return this.#received(file, size, share)
    } catch (error) {
      await this.#discard(file)
      throw error
    }
  }

  #received(file: string, size: number, share: Share): Received {
    const renewing = setInterval(() => void this.#renew(received, renewing), RENEW_EVERY_MS).unref()
    const received: Received & { readonly file: string } = {
      size,
      file,
      share,
      at: Date.now(),
      kept: false,
      [Symbol.asyncDispose]: async () => {
        clearInterval(renewing)
        this.#receiving.delete(file)
        if (!received.kept && (await this.#isNowhere(file))) await this.#discard(file)
        await received.replacing
        share.trim(0)
      },
    }
    return received
  }

  /**
   * Shows processes that cannot see this one that a file is still held. One that was given up stays so: its row is there for longer than
   * a file may go without being renewed.
   */
  async #renew(received: Received & { readonly file: string }, renewing: NodeJS.Timeout): Promise<void> {
    const { file, at = 0 } = received
    const now = Date.now()
    try {
      if (now - at > KEPT_WITHIN_MS) throw swept()
      await utimes(path.join(this.directory, file), now / 1000, now / 1000)
      if (await this.ledger.look((view) => has(readerOf(view), sweptKey(file)))) throw swept()
      received.at = now
    } catch {
      // What it is then, the plan that keeps it finds out.
      clearInterval(renewing)
    }
  }

  /** Whether a commit that would keep a file is certainly nowhere. When it may have landed, the next sweep decides. */
  async #isNowhere(file: string): Promise<boolean> {
    if (this.ledger.degraded !== null) return false
    return this.#isKept(file).then(
      (isKept) => !isKept,
      (error) => {
        // Of a ledger that was closed nobody can tell: whoever opens it next sweeps.
        if (StorageError.is(error) && error.code === 'CLOSED') return false
        throw error
      },
    )
  }

  async #discard(file: string): Promise<boolean> {
    this.#receiving.delete(file)
    try {
      await unlink(path.join(this.directory, file))
      return true
    } catch {
      // Gone already, or left as debris for the next sweep: nothing names it.
      return false
    }
  }

  /**
   * Whether what is kept needs no replacing. A file always does: to read it back costs more than to let it go, and what is at hand
   * was verified a moment ago.
   */
  #isSame(row: Row, { bytes, file, yields }: Received, reader: Reader): boolean {
    if (yields) return true
    if ('file' in row) return row.file === file
    return bytes !== undefined && (reader.piece(pieceOf(row), (kept) => kept.equals(bytes)) ?? false)
  }

  #isKept(file: string): Promise<boolean> {
    return this.ledger.look((view) => has(readerOf(view), fileKey(file)))
  }

  #unmark(writer: Writer, id: BlobId): void {
    const key = this.#markKey(id)
    const mark = this.#marks.get(key, writer)
    if (!mark) return
    writer.remove('blobs', key)
    writer.remove('bytes', markRowOf(mark, id))
  }

  #rowKey(id: BlobId): Buffer {
    return this.#rows.key(hashOf(id))
  }

  #markKey(id: BlobId): Buffer {
    return this.#marks.key(hashOf(id))
  }
}

const NOTHING = Buffer.alloc(0)
const KEPT = Buffer.from('staged')

const FIRST_MARK = Buffer.from('R')
const AFTER_MARKS = Buffer.from('S')
const FIRST_SWEPT = Buffer.from('X')
const AFTER_SWEPT = Buffer.from('Y')

function hashOf(id: BlobId): Buffer {
  return Buffer.from(id.slice('sha256:'.length), 'hex')
}

function idOf(hash: Buffer): BlobId {
  return `sha256:${hash.toString('hex')}`
}

function pieceOf({ pack, offset, size }: Exclude<Row, { file: string }>): Piece {
  return { pack, offset, length: size }
}

function bytesInFile(row: Row | undefined): number {
  return row && 'file' in row ? row.size : 0
}

/** @returns The file that no row names any more. */
function removeBytes(writer: Writer, row: Row): string | undefined {
  if (!('file' in row)) {
    writer.discard(pieceOf(row))
    return undefined
  }
  writer.remove('bytes', fileKey(row.file))
  return row.file
}

/** When it was marked (6 bytes), and its id. */
function markKey(at: number, id: BlobId): Buffer {
  const key = Buffer.allocUnsafe(FIRST_MARK.length + 6 + 32)
  key.set(FIRST_MARK)
  key.writeUIntBE(at, FIRST_MARK.length, 6)
  key.write(id.slice('sha256:'.length), FIRST_MARK.length + 6, 'hex')
  return key
}

function markRowOf({ value }: LedgerRow<Mark>, id: BlobId): Buffer {
  return markKey(value.at, id)
}

function markedId(key: Buffer): BlobId {
  return idOf(key.subarray(FIRST_MARK.length + 6))
}

function addKept(writer: Writer, bytes: number, count: number): void {
  writer.add('meta', KEPT, [bytes, count])
}

/** Bytes in files, and blobs. */
function keptIn(ledger: TreeLedger): { bytes: number; count: number } {
  const [bytes = 0, count = 0] = ledger.get('meta', KEPT, decodeNumbers) ?? []
  return { bytes, count }
}

async function sizeOfDisk(directory: string): Promise<number> {
  const { blocks, bsize } = await statfs(directory)
  return blocks * bsize
}

/** Of a row that says that a file is kept. */
export function fileKey(file: string): Buffer {
  return Buffer.from(`F${file}`)
}

/** Of a row that says that a file was swept. */
function sweptKey(file: string): Buffer {
  return Buffer.from(`X${file}`)
}

/** Rows of swept files: no more than one commit removes. */
function firstSwept(reader: Reader): [key: Buffer, value: Buffer][] {
  return reader.range('bytes', { from: FIRST_SWEPT, to: AFTER_SWEPT })
}

/** Whether a file that was swept then could not be kept even if it were still there. Twice the time, as clocks are set. */
function isPast(swept: Buffer, now: number): boolean {
  const [at = 0] = decodeNumbers(swept)
  return now - at > 2 * KEPT_WITHIN_MS
}

function has(reader: Reader, key: Buffer): boolean {
  return reader.get('bytes', key, () => true) ?? false
}

function swept(id?: BlobId): StorageError {
  const detail = 'the received bytes were taken for abandoned and removed: receive them again'
  return new StorageError('CONFLICT', { op: 'put', ...(id && { key: id }) }, { detail })
}

function lost(id: BlobId): StorageError {
  return new StorageError('CORRUPT', { op: 'get', key: id }, { detail: 'its staged bytes are gone' })
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes
}

async function* prepend(head: Uint8Array[], rest: Steps): AsyncGenerator<Uint8Array, void, void> {
  yield* head.splice(0)
  for (let step = await rest.next(); !step.done; step = await rest.next()) yield step.value
}

function isReceiving(name: string): boolean {
  for (const names of RECEIVING) if (names.has(name)) return true
  return false
}
