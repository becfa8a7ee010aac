import { access, constants, realpath } from 'node:fs/promises'
import path from 'node:path'
import type { Transaction } from '@stored/core'
import { mapErrno, StorageError, toStorageError } from '@stored/core/backend'
import { type Database, open, type RootDatabase } from 'lmdb'
import { applyGroup, type Caller, type Sink } from './commit.ts'
import { newTransaction, type Range, TREES, type Tree, type TreeLedger } from './ledger.ts'
import { makeDirectory, syncDirectory } from './make-directory.ts'
import { DiskReserve } from './reserve.ts'

/** The layout of the trees. A store of another format is refused. */
const FORMAT = 1
const FORMAT_KEY = Buffer.from('format')
const SEQ_KEY = Buffer.from('seq')

/** Callers that make up a commit by themselves. Measured at 64 in flight: a sixth more puts/s than one commit a turn. */
const LARGE_GROUP = 32

type Bytes = Database<Buffer, Buffer>

export interface LmdbLedgerOptions {
  /** Directory of the environment; made when missing. */
  path: string
  /** Bytes of the disk that puts leave free. @default the larger of 256 MiB and 1 % of the disk, but at most a tenth of it */
  reserve?: number
}

/** Directories open in this process. Opened twice in one process, LMDB's locks break. */
const OPEN = new Set<string>()

/** A ledger in one LMDB environment: in each process once, in any number of processes of one machine. */
export class LmdbLedger implements TreeLedger {
  readonly #directory: string
  readonly #environment: RootDatabase<Buffer, Buffer>
  readonly #trees: ReadonlyMap<Tree, Bytes>
  readonly #reserve: DiskReserve
  readonly #sink: Sink
  #group: Caller[] = []
  #committing: Promise<void> = Promise.resolve()
  #closing: Promise<void> | undefined
  #closed = false

  /** @throws {StorageError} PERMISSION_DENIED, NO_SPACE … · INCOMPATIBLE for a store of another format. */
  static async open({ path: directory, reserve }: LmdbLedgerOptions): Promise<LmdbLedger> {
    const at = { op: 'open' }
    try {
      await makeDirectory(directory, at)
      // LMDB reports a directory it cannot write to only with its first commit.
      await access(directory, constants.R_OK | constants.W_OK | constants.X_OK)
    } catch (error) {
      throw StorageError.is(error) ? error : mapErrno(error, at)
    }
    const space = new DiskReserve(directory, reserve)
    space.requireHeadroom()
    const real = await realpath(directory)
    if (OPEN.has(real)) throw new StorageError('CONFLICT', at, { detail: 'this process has the store open already' })
    OPEN.add(real)
    try {
      const ledger = new LmdbLedger(real, space)
      await ledger.#checkFormat()
      // The environment's files were made just now, or by a process that may not have got to this.
      await syncDirectory(real)
      return ledger
    } catch (error) {
      OPEN.delete(real)
      throw toStorageError(error, at)
    }
  }

  private constructor(directory: string, reserve: DiskReserve) {
    this.#directory = directory
    this.#reserve = reserve
    this.#environment = open({
      path: path.join(directory, 'index.mdb'),
      encoding: 'binary',
      keyEncoding: 'binary',
      maxDbs: TREES.length,
      maxReaders: 512,
      // Without it an unchanged boot id is taken as proof that all that was committed was flushed: wrong for a disk that was detached.
      safeRestore: true,
    } as Parameters<typeof open<Buffer, Buffer>>[0])
    this.#trees = new Map(
      TREES.map((name) => [
        name,
        this.#environment.openDB<Buffer, Buffer>({ name, encoding: 'binary', keyEncoding: 'binary' }),
      ]),
    )
    this.#sink = {
      get: (tree, key, decode) => this.get(tree, key, decode),
      range: (tree, range) => this.range(tree, range),
      put: (tree, key, value) => this.#tree(tree).putSync(key as Buffer, value as Buffer),
      remove: (tree, key) => void this.#tree(tree).removeSync(key as Buffer),
    }
  }

  async transact(write: (tx: Transaction) => void): Promise<{ seq: number }> {
    if (this.#closing) throw new StorageError('CLOSED', { op: 'commit' })
    const steps = newTransaction()
    write(steps)
    return new Promise((resolve, reject) => {
      // Whoever comes in the same turn of the event loop shares one transaction and one flush. A large group does not wait for
      // the rest of the turn: while it is flushed, the next one is made ready.
      const size = this.#group.push({ steps, resolve, reject })
      if (size === 1) setImmediate(() => this.#commit())
      else if (size === LARGE_GROUP) this.#commit()
    })
  }

  get<T>(tree: Tree, key: Uint8Array, decode: (value: Buffer) => T): T | undefined {
    const value = this.#tree(tree).getBinaryFast(key as Buffer)
    // What lmdb-js returns says its length, but is as long as its buffer to what is native, such as toString('hex').
    return value === undefined ? undefined : decode(value.subarray(0, value.length))
  }

  range(tree: Tree, { from, to, limit = 500 }: Range): [Buffer, Buffer][] {
    const rows: [Buffer, Buffer][] = []
    for (const { key, value } of this.#tree(tree).getRange({ start: from as Buffer, end: to as Buffer, limit }))
      rows.push([key, value])
    return rows
  }

  requireSpace(bytes: number): void {
    this.#reserve.require(bytes)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#commit()
    await this.#committing
    this.#closed = true
    await this.#environment.close()
    OPEN.delete(this.#directory)
  }

  #tree(tree: Tree): Bytes {
    // A read of a closed environment would end the process, not the call.
    if (this.#closed) throw new StorageError('CLOSED', { op: 'read' })
    return this.#trees.get(tree) as Bytes
  }

  #commit(): void {
    const group = this.#group
    if (group.length === 0) return
    this.#group = []
    this.#committing = this.#apply(group)
  }

  async #apply(group: Caller[]): Promise<void> {
    let tell: (() => void)[] = []
    try {
      this.#reserve.requireHeadroom()
    } catch (error) {
      for (const caller of group) caller.reject(error)
      return
    }
    try {
      await this.#environment.transaction(() => {
        const applied = applyGroup(group, this.#sink, this.#readNumber(SEQ_KEY) ?? 0)
        tell = applied.tell
        this.#tree('meta').putSync(SEQ_KEY, encodeNumber(applied.seq))
      })
      await this.#environment.flushed
    } catch (cause) {
      // lmdb-js rejects a second promise with it, which nobody awaits.
      ;(cause as { commitError?: Promise<unknown> }).commitError?.catch(() => {})
      // A failed commit may have reached the disk all the same (measured with EIO injected into fdatasync).
      const error = new StorageError(
        'UNAVAILABLE',
        { op: 'commit' },
        { cause, ambiguous: true, detail: 'the index could not be written' },
      )
      tell = group.map((caller) => () => caller.reject(error))
    }
    for (const one of tell) one()
  }

  async #checkFormat(): Promise<void> {
    const format = this.#readNumber(FORMAT_KEY)
    if (format === undefined)
      await this.#environment.transaction(() => this.#tree('meta').putSync(FORMAT_KEY, encodeNumber(FORMAT)))
    else if (format !== FORMAT) {
      await this.#environment.close()
      throw new StorageError(
        'INCOMPATIBLE',
        { op: 'open' },
        { detail: `the store has format ${format}; this version reads ${FORMAT}` },
      )
    }
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
