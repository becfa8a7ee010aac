import { existsSync } from 'node:fs'
import { readdir, statfs, unlink } from 'node:fs/promises'
import path from 'node:path'
import type { BlobId, OpenedStaged, Rev, Staged, Staging, StagingUsage, Transaction } from '@stored/core'
import { checkOptions, is, mapErrno, needed, type RulesOf, StorageError } from '@stored/core/backend'
import {
  ACCESS_MODE,
  type AccessMode,
  afterwards,
  decodeNumbers,
  fileMode,
  makeDirectory,
  type Reader,
  Table,
  type TreeLedger,
  type Writer,
  write,
} from '@stored/lmdb'
import { isAbandoned, newName } from './owner.ts'
import { Room, type Share } from './room.ts'
import { SharedSync } from './shared-sync.ts'
import { readFileBody, readNamedFile, writeFileBody } from './staged-file.ts'

/** Up to this size bytes are part of the commit; above it they are a file. At 256 KiB both cost the same (measured). */
const INLINE_MAX = 64 * 1024
/** Of the disk. */
const LIMIT = 1 / 4
/** Of the limit. */
const HIGH_WATER = 3 / 4

/** How much may be staged, and what a put does beyond. */
export interface DurableStagingOptions {
  ledger: TreeLedger
  /** Directory of the files; made when missing. */
  path: string
  /** Who may use the store. @default 0o700 */
  mode?: AccessMode
  /** In bytes. @default 65,536 */
  inlineMax?: number
  /** Bytes of all blobs that are kept, by whatever process, and of those being received by this one. @default a quarter of the disk */
  limit?: number
  /** Part of the limit above which blobs with a verified copy may leave, from 0 to 1. @default 0.75 */
  highWater?: number
}

const OPTIONS: RulesOf<DurableStagingOptions> = {
  ledger: needed(is.object),
  path: needed(is.text),
  mode: ACCESS_MODE,
  inlineMax: is.whole(0, undefined, 'of bytes'),
  limit: is.whole(1, undefined, 'of bytes'),
  highWater: {
    expected: 'a number from 0 to 1',
    holds: (value) => typeof value === 'number' && value >= 0 && value <= 1,
    shown: 'number',
  },
}

/** Where the bytes of a blob are: in the tree `bytes`, at the commit that brought them, or in a file. */
type Row = { readonly size: number; readonly commit: number } | { readonly size: number; readonly file: string }

/** Bytes that were received, until they are kept or discarded. */
export interface Received extends Staged {
  readonly share: Share
  /** Whether it leaves alone what is kept already. */
  readonly yields?: boolean
  /** Set inside the commit that keeps it. */
  kept: boolean
  /** Set once that commit is durable: from then on only a row decides over it. */
  durable: boolean
  /** Until the file in whose place it came is gone. */
  replacing?: Promise<unknown>
  readonly bytes?: Buffer
  readonly file?: string
}

/** Names of files that the open stagings of this process write: none takes those of another for debris. */
const RECEIVING = new Set<ReadonlySet<string>>()

/**
 * Bytes owed to a backend, as tables of a ledger and files beside it:
 *
 * - tree `blobs`, by id: `S` where the blob's bytes are · `R` the commit that marked it releasable
 * - tree `bytes`: commit + id → the bytes of a small blob, appended · `F` + name of a file → nothing, so that a file without
 *   such a row is known to be debris · `R` + commit + id → nothing, so that releasable blobs are found by age
 * - tree `meta`: `staged` → bytes and number of blobs kept
 */
export class DurableStaging implements Staging {
  readonly ledger: TreeLedger
  protected readonly directory: string
  readonly #fileMode: number
  readonly #inlineMax: number
  readonly #rows: Table<Row>
  readonly #marks: Table<null>
  protected readonly room: Room
  readonly #names: SharedSync
  readonly #receiving = new Set<string>()
  #sweeping: Promise<number> = Promise.resolve(0)
  /** Files of rows that are gone. */
  readonly #leaving = new Set<Promise<boolean>>()
  #closed = false

  /**
   * Sweeps the directory in the background: `claimStaging` says first whether it belongs to the ledger.
   *
   * @throws {StorageError} INVALID_ARGUMENT: `limit` or `highWater` · what ails the directory.
   */
  static async open(options: DurableStagingOptions): Promise<DurableStaging> {
    const staging = new DurableStaging(options, await DurableStaging.prepare(options))
    // In the background: a large directory must not delay the first put.
    staging.#sweeping = staging.sweep()
    staging.#sweeping.catch(() => {}) // Reported by close().
    return staging
  }

  /** Makes the directory where it is missing. @returns How much may be staged in it. */
  protected static async prepare(options: DurableStagingOptions): Promise<Room> {
    checkOptions(options, OPTIONS, { op: 'open' })
    const { ledger, path, mode, limit, highWater = HIGH_WATER } = options
    await makeDirectory(path, { op: 'open' }, mode)
    const bytes = limit ?? Math.floor((await sizeOfDisk(path)) * LIMIT)
    return new Room({ limit: bytes, highWater: bytes * highWater, kept: () => keptIn(ledger).bytes })
  }

  protected constructor(options: DurableStagingOptions, room: Room) {
    const { ledger, path: directory, mode = 0o700, inlineMax = INLINE_MAX } = options
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
    source: AsyncIterable<Uint8Array>,
    o: { signal: AbortSignal; size?: number | undefined; whenFull: 'wait' | 'refuse' },
  ): Promise<Received> {
    const share = this.room.share(o)
    const iterator = source[Symbol.asyncIterator]()
    try {
      await share.require(o.size ?? 0)
      const received = await this.#read(iterator, share, o.signal)
      share.trim(received.size)
      return received
    } catch (error) {
      share.trim(0)
      // Ended here, too: a generator over the source that never began has no `finally`. What ending it throws says less than `error`.
      await Promise.allSettled([iterator.return?.()])
      throw error
    }
  }

  async #read(iterator: AsyncIterator<Uint8Array>, share: Share, signal: AbortSignal): Promise<Received> {
    const head: Buffer[] = []
    let size = 0
    while (true) {
      const next = await iterator.next()
      if (next.done) {
        this.ledger.requireSpace(size)
        return this.#inline(head, size, share)
      }
      // A copy: the source may use its buffer again.
      head.push(Buffer.from(next.value))
      size += next.value.length
      const waiting = share.require(size)
      if (waiting) await waiting
      if (size > this.#inlineMax) return this.#toFile(head, iterator, share, signal)
    }
  }

  keep(tx: Transaction, id: BlobId, staged: Staged): void {
    const received = staged as Received
    const { bytes, file, size, share } = received
    const rowKey = this.#rowKey(id)
    let replaced: string | undefined
    write(tx, (writer) => {
      // Of an earlier run nothing holds.
      received.kept = false
      replaced = undefined
      const former = this.#rows.get(rowKey, writer)?.value
      if (former && this.#isSame(former, received, id, writer)) return
      if (former) replaced = removeBytes(writer, id, former)
      // Swept by a process that took its owner for gone: better no answer than bytes that are not there.
      if (file !== undefined && !existsSync(path.join(this.directory, file))) throw swept(id)
      received.kept = true
      addKept(writer, size - (former?.size ?? 0), former ? 0 : 1)
      if (bytes) writer.put('bytes', bytesKey(Number(writer.ticket), id), bytes)
      else writer.put('bytes', fileKey(file as string), NOTHING)
      this.#rows.putNow(
        writer,
        rowKey,
        bytes ? { size, commit: Number(writer.ticket) } : { size, file: file as string },
      )
    })
    // Not before: until the commit is durable its bytes are counted as being received.
    afterwards(tx, () => {
      if (!received.kept) return
      received.durable = true
      share.trim(0)
      if (replaced !== undefined) received.replacing = this.#letGo(replaced)
    })
  }

  release(tx: Transaction, id: BlobId): void {
    const rowKey = this.#rowKey(id)
    let file: string | undefined
    write(tx, (writer) => {
      file = undefined
      this.#unmark(writer, id)
      const row = this.#rows.get(rowKey, writer)?.value
      if (!row) return
      writer.remove('blobs', rowKey)
      addKept(writer, -row.size, -1)
      file = removeBytes(writer, id, row)
    })
    afterwards(tx, () => {
      if (file !== undefined) void this.#letGo(file)
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

  recheck(): void {
    this.room.recheck()
  }

  markReleasable(tx: Transaction, id: BlobId): void {
    const key = this.#markKey(id)
    write(tx, (writer) => {
      // Its age is that of its first mark.
      if (this.#marks.ticket(key, writer) !== undefined) return
      this.#marks.putNow(writer, key, null)
      writer.put('bytes', markKey(Number(writer.ticket), id), NOTHING)
    })
  }

  unmarkReleasable(tx: Transaction, id: BlobId): void {
    write(tx, (writer) => this.#unmark(writer, id))
  }

  async releasable({ limit }: { limit: number }): Promise<BlobId[]> {
    const rows = this.ledger.range('bytes', { from: FIRST_MARK, to: AFTER_MARKS, limit })
    return rows.map(([key]): BlobId => `sha256:${key.toString('hex', FIRST_MARK.length + 6)}`)
  }

  async has(id: BlobId): Promise<boolean> {
    return this.#rows.ticket(this.#rowKey(id)) !== undefined
  }

  async open(
    id: BlobId,
    o: { signal: AbortSignal; offset?: number; length?: number; toClone?: boolean },
  ): Promise<OpenedStaged | null> {
    while (true) {
      const found = this.#rows.get(this.#rowKey(id))
      if (!found) return null
      const row = found.value
      const rev = String(found.ticket) as Rev
      const offset = Math.min(o.offset ?? 0, row.size)
      const end = Math.min(offset + (o.length ?? row.size), row.size)
      if ('commit' in row) {
        const bytes = this.ledger.get('bytes', bytesKey(row.commit, id), (value) =>
          Buffer.from(value.subarray(offset, end)),
        )
        if (bytes) return { size: row.size, rev, body: once(bytes), [Symbol.asyncDispose]: async () => {} }
      } else {
        const file = path.join(this.directory, row.file)
        const read = { offset, end, signal: o.signal }
        const opened = await (o.toClone ? readNamedFile(file, read) : readFileBody(file, read))
        if (opened) return { size: row.size, rev, ...opened }
      }
      // Released between the two reads: look again. A row that is still the same lost its bytes.
      if (this.#rows.ticket(this.#rowKey(id)) === found.ticket) throw lost(id)
    }
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
      if (isReceiving(name) || !(await isAbandoned(path.join(this.directory, name), name))) continue
      // Looked up last: it may have been kept just now.
      if (this.#isKept(name)) continue
      if (await this.#discard(name)) count++
    }
    return count
  }

  async close(): Promise<void> {
    this.#closed = true
    this.room.close(new StorageError('CLOSED', { op: 'put' }))
    RECEIVING.delete(this.#receiving)
    await this.#sweeping
    await Promise.all(this.#leaving)
  }

  #letGo(file: string): Promise<unknown> {
    const leaving = this.#discard(file).finally(() => this.#leaving.delete(leaving))
    this.#leaving.add(leaving)
    return leaving
  }

  #inline(chunks: readonly Buffer[], size: number, share: Share): Received {
    const [first] = chunks
    const bytes = first && chunks.length === 1 ? first : Buffer.concat(chunks, size)
    return { size, bytes, share, kept: false, durable: false, [Symbol.asyncDispose]: async () => share.trim(0) }
  }

  async #toFile(
    head: Uint8Array[],
    rest: AsyncIterator<Uint8Array>,
    share: Share,
    signal: AbortSignal,
  ): Promise<Received> {
    const file = newName()
    this.#receiving.add(file)
    try {
      const require = async (bytes: number, total: number) => {
        await share.require(total)
        this.ledger.requireSpace(bytes)
      }
      const size = await writeFileBody(path.join(this.directory, file), prepend(head, rest), {
        require,
        signal,
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
    const received: Received = {
      size,
      file,
      share,
      kept: false,
      durable: false,
      [Symbol.asyncDispose]: async () => {
        this.#receiving.delete(file)
        if (!received.kept || this.#failedToKeep(received)) await this.#discard(file)
        await received.replacing
        share.trim(0)
      },
    }
    return received
  }

  /** Whether the commit is certainly nowhere. When it may have landed, the next sweep decides. */
  #failedToKeep({ durable, file }: Received): boolean {
    return !durable && this.ledger.degraded === null && !this.#isKept(file as string)
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
  #isSame(row: Row, { bytes, file, yields }: Received, id: BlobId, reader: Reader): boolean {
    if (yields) return true
    if ('file' in row) return row.file === file
    return bytes !== undefined && (reader.get('bytes', bytesKey(row.commit, id), (kept) => kept.equals(bytes)) ?? false)
  }

  #isKept(file: string): boolean {
    return this.ledger.get('bytes', fileKey(file), () => true) ?? false
  }

  #unmark(writer: Writer, id: BlobId): void {
    const key = this.#markKey(id)
    const commit = this.#marks.ticket(key, writer)
    if (commit === undefined) return
    writer.remove('blobs', key)
    writer.remove('bytes', markKey(Number(commit), id))
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

/** Sorts after all commits and files. */
const FIRST_MARK = Buffer.from('R')
const AFTER_MARKS = Buffer.from('S')

function hashOf(id: BlobId): Buffer {
  return Buffer.from(id.slice('sha256:'.length), 'hex')
}

/** @returns The file that no row names any more. */
function removeBytes(writer: Writer, id: BlobId, row: Row): string | undefined {
  if ('commit' in row) {
    writer.remove('bytes', bytesKey(row.commit, id))
    return undefined
  }
  writer.remove('bytes', fileKey(row.file))
  return row.file
}

function markKey(commit: number, id: BlobId): Buffer {
  return Buffer.concat([FIRST_MARK, bytesKey(commit, id)])
}

function addKept(writer: Writer, bytes: number, count: number): void {
  writer.add('meta', KEPT, [bytes, count])
}

function keptIn(ledger: TreeLedger): { bytes: number; count: number } {
  const [bytes = 0, count = 0] = ledger.get('meta', KEPT, decodeNumbers) ?? []
  return { bytes, count }
}

async function sizeOfDisk(directory: string): Promise<number> {
  const { blocks, bsize } = await statfs(directory)
  return blocks * bsize
}

/** In the order of commits: small blobs are appended, whatever their ids. */
function bytesKey(commit: number, id: BlobId): Buffer {
  const key = Buffer.allocUnsafe(6 + 32)
  key.writeUIntBE(commit, 0, 6)
  key.write(id.slice('sha256:'.length), 6, 'hex')
  return key
}

/** Of a row that says that a file is kept. Sorts after all commits. */
export function fileKey(file: string): Buffer {
  return Buffer.from(`F${file}`)
}

function swept(id: BlobId): StorageError {
  return new StorageError('UNAVAILABLE', { op: 'put', key: id }, { detail: 'its staged file was removed' })
}

function lost(id: BlobId): StorageError {
  return new StorageError('CORRUPT', { op: 'get', key: id }, { detail: 'its staged bytes are gone' })
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes
}

async function* prepend(head: Uint8Array[], rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* head.splice(0)
  yield* { [Symbol.asyncIterator]: () => rest }
}

function isReceiving(name: string): boolean {
  for (const names of RECEIVING) if (names.has(name)) return true
  return false
}
