import { copyFile, rm, stat, statfs } from 'node:fs/promises'
import path from 'node:path'
import { checkOptions, type OptionRulesOf, StorageError } from '@stored/core/backend'
import { setMode, statIfThere } from '@stored/core/files'
import type { Reader, Tree } from '@stored/ledger'
import { pieceIn } from '@stored/ledger/engine'
import { Environment, INDEX_FILE, mapLmdbError } from './environment.ts'
import { Gate, UNSHARED } from './gate.ts'
import {
  FORMAT,
  FORMER_FORMAT,
  formatOf,
  LmdbLedger,
  type LmdbLedgerOptions,
  OPTIONS,
  readRow,
  readRows,
  requireFormat,
  seqOf,
} from './lmdb-ledger.ts'
import { lockFileOf } from './lock-file.ts'
import {
  beginRestore,
  endRestore,
  flush,
  NEW_INDEX_FILE,
  putInPlace,
  requireUnkept,
  sweepNewIndex,
  takeOver,
} from './new-index.ts'
import { type Occupied, occupy } from './occupy.ts'

/** The index of the former format, after an upgrade. */
export const FORMER_INDEX_FILE = `index.v${FORMER_FORMAT}.bak`
/** What is left over beside an index that is written: the spare room at its end, and what opening it takes. */
const MARGIN = 8 * 1024 * 1024

/** Which store is opened. */
export type ExclusiveIndexOptions = Pick<LmdbLedgerOptions, 'path' | 'mode' | 'allowNetworkFileSystem' | 'reserve'>

const { path: PATH, mode: MODE, allowNetworkFileSystem: ALLOW, reserve: RESERVE } = OPTIONS
const RULES = {
  path: PATH,
  mode: MODE,
  allowNetworkFileSystem: ALLOW,
  reserve: RESERVE,
} as const satisfies OptionRulesOf<ExclusiveIndexOptions>

type Checked = ExclusiveIndexOptions & Required<Pick<ExclusiveIndexOptions, 'mode' | 'allowNetworkFileSystem'>>

/**
 * The index of a store that nobody else has open, nor opens until it is closed: of any format, to be read, and to be replaced as a
 * whole. Whoever is killed at it leaves the index that was there, or the new one, and at most a file `index.new.mdb` that the next to come
 * removes.
 */
export class ExclusiveIndex implements Reader {
  readonly #place: Occupied
  readonly #gate: Gate
  readonly #letIn: () => void
  readonly #environment: Environment
  readonly trees: readonly Tree[]
  /** The layout of its trees. */
  readonly format: number
  #isClosed = false

  /**
   * @throws {StorageError} NOT_FOUND: there is no index · CONFLICT: a process has the store open · whatever else keeps it from being
   *   opened. Nothing was changed.
   */
  static async open(options: ExclusiveIndexOptions): Promise<ExclusiveIndex> {
    const checked = checkOptions(options as Checked, RULES, { op: 'open' })
    await requireIndex(checked.path)
    const place = await occupy(checked)
    let gate: Gate | undefined
    let environment: Environment | undefined
    let letIn: (() => void) | undefined
    try {
      const { directory, fileMode: mode } = place
      gate = await Gate.open(directory, { mode })
      const trees = new Set<Tree>()
      environment = await Environment.open(path.join(directory, INDEX_FILE), gate, { mode, trees })
      letIn = await gate.hold()
      const [pid] = environment.others
      if (pid !== undefined) throw isOpen(pid)
      await sweepNewIndex(directory)
      // None that is missing: that would write into an index that is only read.
      for (const name of environment.names) trees.add(name)
      await environment.openTrees()
      return new ExclusiveIndex({ place, gate, letIn, environment })
    } catch (error) {
      letIn?.()
      await environment?.close()
      await gate?.close()
      await Promise.allSettled([place.leave()])
      throw mapLmdbError(error, { op: 'open' })
    }
  }

  private constructor(o: { place: Occupied; gate: Gate; letIn: () => void; environment: Environment }) {
    this.#place = o.place
    this.#gate = o.gate
    this.#letIn = o.letIn
    this.#environment = o.environment
    this.trees = o.environment.names
    // One that is new gets that of this version when it is opened.
    this.format = (this.trees.includes('meta') && formatOf(o.environment)) || FORMAT
  }

  /** In bytes, of the pages that hold rows: a copy has no free ones. */
  get size(): number {
    return this.#environment.used
  }

  /** Rows of a tree. */
  count(tree: Tree): number {
    return this.#environment.count(tree)
  }

  get: Reader['get'] = (tree, key, decode) => readRow(this.#environment.tree(tree), key, decode)

  range: Reader['range'] = (tree, range) => readRows(this.#environment.tree(tree), range)

  piece: Reader['piece'] = (piece, decode) => pieceIn(this, piece, decode)

  /**
   * @param o.keepAs Name that the present index is to keep beside the new one.
   * @throws {StorageError} NO_SPACE: the disk has no room for a second index of this size · ALREADY_EXISTS: that name is taken.
   */
  async requireReplaceable(o: { readonly keepAs?: string } = {}): Promise<void> {
    const { keepAs } = o
    if (keepAs !== undefined) await requireUnkept(this.#place.directory, keepAs)
    await requireFree(this.#place.directory, this.size)
  }

  /**
   * Puts a new index in the place of this one, which is closed then. Where `write` fails, nothing has changed.
   *
   * @param write Writes the new one. What it is given is no store yet: nothing in it lasts before this resolves.
   * @param o.keepAs Name that the present index keeps beside the new one.
   */
  async replace(write: (ledger: LmdbLedger) => Promise<void>, o: { readonly keepAs?: string } = {}): Promise<void> {
    const seq = seqOf(this.#environment)
    await this.#replace(async (file) => {
      const ledger = await LmdbLedger.make(file, this.#place, { seq })
      try {
        await write(ledger)
      } finally {
        await ledger.close()
      }
    }, o)
  }

  /** Puts a copy without free pages in the place of the index, which is closed then. */
  async compact(): Promise<void> {
    await this.#replace((file) => this.#environment.copyTo(file), {})
  }

  async #replace(make: (file: string) => Promise<void>, o: { readonly keepAs?: string }): Promise<void> {
    const { directory } = this.#place
    const file = path.join(directory, NEW_INDEX_FILE)
    await this.requireReplaceable(o)
    try {
      await make(file)
      await takeOver(file, this.#environment.file)
      await flush(file)
    } catch (error) {
      await sweepNewIndex(directory)
      throw error
    }
    await this.#environment.close()
    await putInPlace(directory, o.keepAs)
  }

  /** Lets others open the store. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#environment.close()
    this.#letIn()
    await this.#gate.close()
    await this.#place.leave()
  }
}

/** What becomes an index. */
export interface NewIndex {
  /** The file that is copied. */
  readonly from: string
  /** Called once nobody else can open the directory, and before the index is there. */
  prepare(): Promise<void>
  /** Writes into the copy before it is put in place. */
  change(ledger: LmdbLedger): Promise<void>
  /** Takes back what was prepared. */
  undo(): Promise<void>
}

/**
 * Puts a copy of an index into a directory that has none. Where it fails, all is as it was. Whoever is killed at it leaves no index, and nobody
 * opens the directory until it is called again.
 *
 * @throws {StorageError} ALREADY_EXISTS: there is an index · INCOMPATIBLE, CORRUPT: the copy cannot be used · NO_SPACE.
 */
export async function placeIndex(options: ExclusiveIndexOptions, made: NewIndex): Promise<void> {
  const place = await occupy(checkOptions(options as Checked, RULES, { op: 'open' }))
  const { directory, fileMode: mode } = place
  let gate: Gate | undefined
  let letIn: (() => void) | undefined
  try {
    gate = await Gate.open(directory, { mode })
    letIn = await gate.hold()
    if ((await statIfThere(path.join(directory, INDEX_FILE))) !== null)
      throw new StorageError('ALREADY_EXISTS', { op: 'restore' }, { detail: `there is a store in ${directory}` })
    await sweepNewIndex(directory)
    const isResumed = await beginRestore(directory)
    try {
      await made.prepare()
      await writeCopy(made, path.join(directory, NEW_INDEX_FILE), place)
    } catch (error) {
      await sweepNewIndex(directory)
      await made.undo()
      // What was there before is what another one left.
      if (!isResumed) await endRestore(directory)
      throw error
    }
    await putInPlace(directory, undefined)
    await endRestore(directory)
  } catch (error) {
    throw mapLmdbError(error, { op: 'restore' })
  } finally {
    letIn?.()
    await gate?.close()
    await place.leave()
  }
}

async function writeCopy({ from, change }: NewIndex, file: string, place: Occupied): Promise<void> {
  await requireFree(place.directory, (await stat(from)).size)
  await copyFile(from, file)
  // A backup may be one that nobody can write to.
  await setMode(file, place.fileMode)
  const ledger = await LmdbLedger.change(file, place)
  try {
    await change(ledger)
  } finally {
    await ledger.close()
  }
  await flush(file)
}

/** Reads an index in a file that nobody else knows, of this format. */
export async function readIndex<T>(file: string, read: (reader: Reader) => Promise<T>): Promise<T> {
  const trees = new Set<Tree>()
  const environment = await Environment.open(file, UNSHARED, { mode: 0o600, trees })
  try {
    for (const name of environment.names) trees.add(name)
    await environment.openTrees()
    requireFormat(formatOf(environment))
    const reader: Reader = {
      get: (tree, key, decode) => readRow(environment.tree(tree), key, decode),
      range: (tree, range) => readRows(environment.tree(tree), range),
      piece: (piece, decode) => pieceIn(reader, piece, decode),
    }
    return await read(reader)
  } finally {
    await environment.close()
    await rm(lockFileOf(file), { force: true })
  }
}

async function requireFree(directory: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(directory)
  const need = bytes + MARGIN
  if (bavail * bsize >= need) return
  const detail = `a new index in ${directory} takes up to ${need} bytes, and ${bavail * bsize} are free`
  throw new StorageError('NO_SPACE', { op: 'open' }, { detail })
}

async function requireIndex(directory: string): Promise<void> {
  const found = await statIfThere(path.join(directory, INDEX_FILE))
  if (found !== null && found.size > 0) return
  throw new StorageError('NOT_FOUND', { op: 'open' }, { detail: `there is no index in ${directory}` })
}

function isOpen(pid: number): StorageError {
  const detail = `process ${pid} has the store open: end it first; no process may use the store meanwhile`
  return new StorageError('CONFLICT', { op: 'open' }, { detail })
}
