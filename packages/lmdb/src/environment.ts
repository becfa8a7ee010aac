import path from 'node:path'
import { getSystemErrorName } from 'node:util'
import { type ErrorLocation, mapErrno, StorageError } from '@stored/core/backend'
import type { Tree } from '@stored/ledger'
import { unknownTree } from '@stored/ledger/engine'
import type { Database, RootDatabase, RootDatabaseOptions } from 'lmdb'
import type { Gate } from './gate.ts'
import { openRoot } from './open-root.ts'

type Bytes = Database<Buffer, Buffer>

/** In the directory of a store. */
export const INDEX_FILE = 'index.mdb'

/** @see lmdb.h, MDB_PANIC: an error while a commit was published; LMDB refuses everything from then on. */
const MDB_PANIC = -30795
/** @see lmdb.h, MDB_READERS_FULL */
const MDB_READERS_FULL = -30790
/** @see lmdb.h: MDB_VERSION_MISMATCH, MDB_INVALID, MDB_CORRUPTED, MDB_PAGE_NOTFOUND */
const DAMAGE: ReadonlySet<number | undefined> = new Set([-30794, -30793, -30796, -30797])
/** Begins what LMDB says of a page that it could not write. @see mdb.c, mdb_page_flush() */
const PAGE_WRITE = 'Attempting to write page'

/** Trees that a process may use at once. */
export const MAX_TREES = 64

const BINARY = { encoding: 'binary', keyEncoding: 'binary' } as const
/** Reads rows into memory that many share: by itself lmdb-js makes an ArrayBuffer for each key and each value, which takes as long as reading. */
const ROWS = {
  encoding: 'binary',
  encoder: { encode: (value: Buffer) => value, decode: (value: Buffer, size: number) => copyOf(value, 0, size) },
  keyEncoder: {
    writeKey(key: Buffer, target: Buffer, start: number): number {
      target.set(key, start)
      return start + key.length
    },
    readKey: copyOf,
  },
} as const
const OPTIONS = {
  ...BINARY,
  maxDbs: MAX_TREES,
  maxReaders: 512,
  // Flush, then publish: a commit whose flush failed is nowhere. The default publishes first, so that it is everywhere, and takes a
  // commit for durable whose last write failed. As fast: a commit costs two flushes either way (measured: 1,070 to 1,350
  // commits/s of 32 rows with it, 1,050 to 1,230 without).
  overlappingSync: false,
  // With it a failed commit also rejects a promise that nobody is given.
  eventTurnBatching: false,
} satisfies RootDatabaseOptions

interface Parts {
  readonly file: string
  readonly gate: Gate
  readonly root: RootDatabase<Buffer, Buffer>
  readonly trees: ReadonlySet<Tree>
}

/** One LMDB environment with the trees of a ledger. */
export class Environment {
  readonly file: string
  readonly #gate: Gate
  readonly #root: RootDatabase<Buffer, Buffer>
  readonly #names: ReadonlySet<Tree>
  readonly #trees = new Map<Tree, Bytes>()
  #isOpen = true

  /**
   * @param o.mode Of the file, where it is made now.
   * @param o.trees Names of its trees; those added later are opened by `openTrees`.
   * @throws {StorageError} What the system said.
   */
  static async open(
    directory: string,
    gate: Gate,
    { mode, trees }: { mode: number; trees: ReadonlySet<Tree> },
  ): Promise<Environment> {
    let environment: Environment | undefined
    const file = path.join(directory, INDEX_FILE)
    try {
      const root = await gate.open(() => openRoot<Buffer, Buffer>({ file, mode }, OPTIONS))
      environment = new Environment({ file, gate, root, trees })
      await environment.openTrees()
      return environment
    } catch (error) {
      await environment?.close()
      throw mapLmdbError(error, { op: 'open' })
    }
  }

  private constructor({ file, gate, root, trees }: Parts) {
    this.file = file
    this.#gate = gate
    this.#root = root
    this.#names = trees
  }

  /** In bytes, of all that is committed. */
  get end(): number {
    const { lastPageNumber, pageSize } = this.#root.getStats() as { lastPageNumber: number; pageSize: number }
    return (lastPageNumber + 1) * pageSize
  }

  /** @throws {StorageError} UNAVAILABLE: it is closed, and a read would end the process. */
  tree(name: Tree): Bytes {
    if (!this.#isOpen)
      throw new StorageError('UNAVAILABLE', { op: 'read' }, { detail: 'the index could not be reopened' })
    const tree = this.#trees.get(name)
    if (!tree) throw unknownTree(name)
    return tree
  }

  /** Reads see what other processes committed by now. lmdb-js keeps one view of the rows for a turn of the event loop, or longer. */
  refresh(): void {
    if (this.#isOpen) this.#root.resetReadTxn()
  }

  /** One at a time: after a failure to publish, lmdb-js never answers another one. Resolves when durable. */
  async commit(write: () => void): Promise<void> {
    try {
      await this.#gate.commit((write) => this.#root.transaction(write), write)
      await this.#root.flushed
    } catch (error) {
      // What lmdb-js rejects with says nothing; the reason comes by a promise of its own.
      await (error as { commitError?: Promise<never> }).commitError
      throw error
    }
  }

  async close(): Promise<void> {
    this.#isOpen = false
    await this.#root.close()
  }

  /** Whether `openTrees` has something to do. */
  get lacksTrees(): boolean {
    return this.#trees.size < this.#names.size
  }

  /** A commit of its own: opened inside one that goes on to read, a tree would end what lmdb-js reads by. */
  async openTrees(): Promise<void> {
    if (!this.lacksTrees) return
    const opened = new Map<Tree, Bytes>()
    await this.commit(() => {
      for (const name of this.#names)
        if (!this.#trees.has(name)) opened.set(name, this.#root.openDB<Buffer, Buffer>({ ...ROWS, name }))
    })
    // Not before: a commit that fails closes what was opened in it.
    for (const [name, tree] of opened) this.#trees.set(name, tree)
  }
}

/** Whether LMDB gave up: what it published last may come back or not, and nothing can be read until it is opened anew. */
export function isPanic(error: unknown): boolean {
  return codeOf(error) === MDB_PANIC
}

/**
 * Whether a commit ended before its flush: it is certainly nowhere. A page of which a part was written reads like a failed
 * flush.
 */
export function isPageWrite(error: unknown): boolean {
  return error instanceof Error && error.message.includes(PAGE_WRITE)
}

/** Whether LMDB met something in the file that cannot be. */
export function isDamage(error: unknown): boolean {
  return DAMAGE.has(codeOf(error))
}

/** An error of LMDB, by the error number it stands for. */
export function mapLmdbError(error: unknown, at: ErrorLocation): StorageError {
  if (isPanic(error))
    return new StorageError('UNAVAILABLE', at, { cause: error, detail: 'the index could not be published' })
  const code = codeOf(error)
  if (isDamage(error)) {
    const detail = `it is damaged: ${(error as Error).message}`
    return new StorageError('CORRUPT', { ...at, key: INDEX_FILE }, { cause: error, detail })
  }
  if (code === MDB_READERS_FULL)
    return new StorageError('UNAVAILABLE', at, {
      cause: error,
      detail: `more than ${OPTIONS.maxReaders} read the index`,
    })
  if (code === undefined || code <= 0) return mapErrno(error, at)
  const named = new Error((error as Error).message, { cause: error })
  return mapErrno(Object.assign(named, { code: getSystemErrorName(-code) }), at)
}

function codeOf(error: unknown): number | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code
  return typeof code === 'number' ? code : undefined
}

function copyOf(bytes: Buffer, start: number, end: number): Buffer {
  const copy = Buffer.allocUnsafe(end - start)
  bytes.copy(copy, 0, start, end)
  return copy
}
