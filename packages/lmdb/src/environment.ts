import { constants, type FileHandle, open as openFile } from 'node:fs/promises'
import path from 'node:path'
import { getSystemErrorName } from 'node:util'
import { type ErrorLocation, mapErrno, StorageError } from '@stored/core/backend'
import { type Database, open, type RootDatabase } from 'lmdb'
import { TREES, type Tree } from './ledger.ts'

type Bytes = Database<Buffer, Buffer>

/** @see lmdb.h, MDB_PANIC: an error while a commit was published; LMDB refuses everything from then on. */
const MDB_PANIC = -30795
/** Begins what LMDB says of a page that it could not write. @see mdb.c, mdb_page_flush() */
const PAGE_WRITE = 'Attempting to write page'

/** One LMDB environment with the trees of a ledger. */
export class Environment {
  readonly file: string
  readonly #root: RootDatabase<Buffer, Buffer>
  readonly #trees = new Map<Tree, Bytes>()
  #isOpen = true

  /** @throws {StorageError} What the system said. */
  static async open(directory: string): Promise<Environment> {
    let environment: Environment | undefined
    const file = path.join(directory, 'index.mdb')
    try {
      await rehearse(file)
      environment = new Environment(file)
      environment.#openTrees()
      return environment
    } catch (error) {
      await environment?.close()
      throw mapLmdbError(error, { op: 'open' })
    }
  }

  private constructor(file: string) {
    this.file = file
    this.#root = open({
      path: file,
      encoding: 'binary',
      keyEncoding: 'binary',
      maxDbs: TREES.length,
      maxReaders: 512,
      // Flush, then publish: a commit whose flush failed is nowhere. The default publishes first, so that it is everywhere, and takes a
      // commit for durable whose last write failed. As fast: a commit costs two flushes either way (measured: 1,070 to 1,350
      // commits/s of 32 rows with it, 1,050 to 1,230 without).
      overlappingSync: false,
      // With it a failed commit also rejects a promise that nobody is given.
      eventTurnBatching: false,
    } as Parameters<typeof open<Buffer, Buffer>>[0])
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
    return this.#trees.get(name) as Bytes
  }

  /** Reads see what other processes committed by now. lmdb-js keeps one view of the rows for a turn of the event loop, or longer. */
  refresh(): void {
    if (this.#isOpen) this.#root.resetReadTxn()
  }

  /** One at a time: after a failure to publish, lmdb-js never answers another one. Resolves when durable. */
  async commit(write: () => void): Promise<void> {
    try {
      await this.#root.transaction(write)
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

  #openTrees(): void {
    for (const name of TREES)
      this.#trees.set(name, this.#root.openDB<Buffer, Buffer>({ name, encoding: 'binary', keyEncoding: 'binary' }))
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

/** An error of LMDB, by the error number it stands for. */
export function mapLmdbError(error: unknown, at: ErrorLocation): StorageError {
  if (isPanic(error))
    return new StorageError('UNAVAILABLE', at, { cause: error, detail: 'the index could not be published' })
  const code = codeOf(error)
  if (code === undefined || code <= 0) return mapErrno(error, at)
  const named = new Error((error as Error).message, { cause: error })
  return mapErrno(Object.assign(named, { code: getSystemErrorName(-code) }), at)
}

function codeOf(error: unknown): number | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code
  return typeof code === 'number' ? code : undefined
}

const META_MAGIC = { offset: 24, bytes: Buffer.of(0xde, 0xc0, 0xef, 0xbe) } as const

/**
 * Opens what LMDB is about to open, all at once: an error met by LMDB itself as it opens ends the process. lmdb-js 3.5.6 then uses
 * what it has freed (EnvWrap::openEnv() in env.cpp; measured with EMFILE, and with a file that is not LMDB's).
 */
async function rehearse(file: string): Promise<void> {
  const opened: FileHandle[] = []
  try {
    opened.push(await openFile(`${file}-lock`, constants.O_RDWR | constants.O_CREAT, 0o664))
    opened.push(await openFile(file, constants.O_WRONLY | constants.O_CREAT, 0o664))
    const handle = await openFile(file, constants.O_RDWR)
    opened.push(handle)
    // The size before the bytes: a file that another process fills at this moment is empty or whole, and never a stranger's.
    const { size } = await handle.stat()
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(META_MAGIC.bytes.length), 0, 4, META_MAGIC.offset)
    if (size > 0 && !buffer.subarray(0, bytesRead).equals(META_MAGIC.bytes))
      throw new StorageError('CORRUPT', { op: 'open' }, { detail: `${path.basename(file)} is no LMDB file` })
  } finally {
    for (const handle of opened) await handle.close()
  }
}
