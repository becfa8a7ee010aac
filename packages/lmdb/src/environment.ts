import { getSystemErrorName } from 'node:util'
import { type ErrorLocation, mapErrno, StorageError } from '@stored/core/backend'
import type { Tree } from '@stored/ledger'
import { unknownTree } from '@stored/ledger/engine'
import type { Database, RootDatabase, RootDatabaseOptions } from 'lmdb'
import type { Turns } from './gate.ts'
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

/** A row of LMDB's table of readers: a process and a thread, whether or not it reads at this moment. */
const READER = /^ *(\d+) \w+ /gm

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

/** Of one tree. */
interface PageCounts {
  readonly pageSize: number
  readonly treeBranchPageCount: number
  readonly treeLeafPageCount: number
  readonly overflowPages: number
}

/** At the beginning of a file. */
const META_PAGES = 2

interface Parts {
  readonly file: string
  readonly gate: Turns
  readonly root: RootDatabase<Buffer, Buffer>
  readonly trees: ReadonlySet<Tree>
}

interface EnvironmentOptions {
  readonly mode: number
  readonly trees: ReadonlySet<Tree>
  readonly isFlushed?: boolean
}

/** One LMDB environment with the trees of a ledger. */
export class Environment {
  readonly file: string
  readonly #gate: Turns
  readonly #root: RootDatabase<Buffer, Buffer>
  readonly #names: ReadonlySet<Tree>
  readonly #trees = new Map<Tree, Bytes>()
  #isOpen = true

  /**
   * @param o.mode Of the file, where it is made now.
   * @param o.trees Names of its trees, which `openTrees` opens.
   * @param o.isFlushed Whether each commit is flushed. @default true
   * @throws {StorageError} What the system said.
   */
  static async open(
    file: string,
    gate: Turns,
    { mode, trees, isFlushed = true }: EnvironmentOptions,
  ): Promise<Environment> {
    try {
      const options = isFlushed ? OPTIONS : { ...OPTIONS, noSync: true }
      const root = await gate.open(() => openRoot<Buffer, Buffer>({ file, mode }, options))
      return new Environment({ file, gate, root, trees })
    } catch (error) {
      throw mapLmdbError(error, { op: 'open' })
    }
  }

  private constructor({ file, gate, root, trees }: Parts) {
    this.file = file
    this.#gate = gate
    this.#root = root
    this.#names = trees
  }

  /** Whether nothing was ever committed to it. */
  get isEmpty(): boolean {
    return (this.#root.getStats() as { lastTxnId: number }).lastTxnId === 0
  }

  /** In bytes, of all that is committed. */
  get end(): number {
    const { lastPageNumber, pageSize } = this.#root.getStats() as { lastPageNumber: number; pageSize: number }
    return (lastPageNumber + 1) * pageSize
  }

  /** In bytes, of the pages that hold rows: those of all trees that were opened, without free ones. */
  get used(): number {
    const stats = [this.#root, ...this.#trees.values()].map((tree) => tree.getStats() as unknown as PageCounts)
    const pages = stats.map((one) => one.treeBranchPageCount + one.treeLeafPageCount + one.overflowPages)
    return pages.reduce((sum, count) => sum + count, META_PAGES) * (stats[0] as PageCounts).pageSize
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

  /** Names of all trees that are there, whoever made them. */
  get names(): string[] {
    // lmdb-js ends each with a NUL.
    return Array.from(this.#root.getKeys(), (key) => key.toString().replace(/\0$/, ''))
  }

  /** How many rows a tree has. */
  count(name: Tree): number {
    return (this.tree(name).getStats() as { entryCount: number }).entryCount
  }

  /** The processes of this PID namespace that have the file open, without this one. */
  get others(): number[] {
    this.#root.readerCheck()
    const pids = Array.from(this.#root.readerList().matchAll(READER), ([, pid]) => Number(pid))
    return [...new Set(pids)].filter((pid) => pid !== process.pid)
  }

  /** Writes all rows, as they are at one moment, into a new file without free pages. */
  async copyTo(file: string): Promise<void> {
    try {
      await this.#root.backup(file, true)
    } catch (error) {
      throw mapLmdbError(error, { op: 'copy' })
    }
  }

  async close(): Promise<void> {
    if (!this.#isOpen) return
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
