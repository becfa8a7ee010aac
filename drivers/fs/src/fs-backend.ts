import { basename, dirname, resolve } from 'node:path'
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
import { openBlob } from './body.ts'
import { Directories, type Directory } from './directories.ts'
import { errnoError, errnoOf, saysAbsent, toFsError } from './errors.ts'
import type { Held } from './held.ts'
import { io } from './io.ts'
import type { Medium } from './medium.ts'
import { cannotHold, makeEntry, reachesRoot } from './names.ts'
import { type FsBackendOptions, parseOptions } from './options.ts'
import { checkHere } from './own.ts'
import { MAX_SEGMENT_BYTES, toPath } from './paths.ts'
import { Root } from './root.ts'
import { interruptible } from './source.ts'
import { toStat } from './stat.ts'
import { sweepTemps, Temp } from './temp.ts'
import { walk } from './walk.ts'

const CLOSE_MS = 5000

interface Opened {
  readonly root: Root
  readonly directories: Directories
  readonly log: (event: LogEvent) => void
}

/** Blobs as plain files under one directory, readable by any other tool. */
export class FsBackend extends StorageBackend {
  readonly name = 'fs'
  readonly #path: string
  readonly #fsync: boolean
  readonly #closing = new AbortController()
  readonly #running = new Set<Promise<unknown>>()
  #capabilities = capabilitiesOf({ hardLinks: true, reflinks: false, caseSensitive: true, normalizes: false })
  #opening: Promise<void> | undefined
  #opened: Opened | undefined

  constructor(options: FsBackendOptions) {
    super()
    const { root, fsync } = parseOptions(options)
    this.#path = resolve(root)
    this.#fsync = fsync
  }

  override get address(): Address {
    return addressOf(this.#path)
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
    return this.#run('put', key, options, async ({ root, directories }, at) => {
      const path = this.#pathOf(root, key, at)
      using tmp = await root.openTmp(at)
      await using temp = await Temp.create(tmp, root, options.file)
      if (!tmp.procfs) await checkHere(tmp, at)
      const source = interruptible(body, [options.signal, this.#closing.signal], at)
      await (temp.isClone ? readToEnd(source) : temp.write(source, options.onSent))
      // Before it gets its name: a name must never lead to bytes that a power cut can lose.
      if (this.#fsync) await temp.flush()
      options.signal.throwIfAborted()
      await directories.ensure(dirname(path), at, (directory) =>
        publish(temp, { directory, root, tmp, path }, options, at),
      )
      return toStat(key, temp.stat())
    })
  }

  get(key: string, options: GetOptions): Promise<GetResult> {
    return this.#run('get', key, options, async ({ root }, at) => {
      const signals = [options.signal, this.#closing.signal]
      const blob = await ifThere(root, at, openBlob(root, this.#pathOf(root, key, at), key, options, signals, at))
      if (blob === null) throw new StorageError('NOT_FOUND', at)
      return blob
    })
  }

  stat(key: string, options: Op): Promise<Stat | null> {
    return this.#run('stat', key, options, async ({ root }, at) => {
      const found = await ifThere(root, at, root.lstat(this.#pathOf(root, key, at)))
      return found?.isFile() ? toStat(key, found) : null
    })
  }

  delete(key: string, options: DeleteOptions): Promise<void> {
    return this.#run('delete', key, options, async ({ root, directories }, at) => {
      const path = this.#pathOf(root, key, at)
      const removal = directories.use(dirname(path), at, (directory) => remove(directory, root, path))
      if (await ifThere(root, at, removal)) await directories.prune(dirname(path), at)
    })
  }

  async *list(options: ListOptions): AsyncGenerator<Stat, void, void> {
    const at = { backend: this.name, op: 'list' }
    try {
      const { root, log } = this.#ready(at, options.signal)
      for await (const stat of walk(root, options, at, log)) {
        yield stat
        this.#closing.signal.throwIfAborted()
      }
    } catch (error) {
      throw toFsError(error, at, options.signal)
    }
  }

  override sweep(options: Op & { olderThanMs: number }): Promise<number> {
    return this.#run('sweep', undefined, options, async ({ root }, at) => {
      await root.check(at)
      using tmp = await root.openTmp(at)
      return await sweepTemps(tmp, options.olderThanMs, at, options.signal)
    })
  }

  override async close(): Promise<void> {
    this.#closing.abort(new StorageError('CLOSED', { backend: this.name, op: 'close' }))
    // A call that hangs in the medium cannot be cancelled.
    const patience = setTimeout(CLOSE_MS, undefined, { ref: false })
    await Promise.race([Promise.allSettled(this.#running), patience])
  }

  async #open({ log, signal, medium }: OpenContext): Promise<void> {
    const at = { backend: this.name, op: 'open' }
    if (process.platform === 'win32')
      throw new StorageError('UNSUPPORTED', at, { detail: 'this driver needs POSIX file names and links' })
    try {
      signal?.throwIfAborted()
      const root = await Root.open(this.#path, medium, at)
      this.#capabilities = capabilitiesOf(root.medium)
      this.#opened = { root, directories: new Directories(root, this.#fsync), log }
    } catch (error) {
      if (!saysAbsent(error) && errnoOf(error) !== 'EEXIST') throw toFsError(error, at, signal)
      const detail = `${this.#path} is not a directory, and cannot become one`
      throw new StorageError('MISCONFIGURED', at, { cause: error, detail })
    }
  }

  #pathOf(root: Root, key: string, at: ErrorLocation): string {
    return toPath(root.path, key, root.medium.caseSensitive, at)
  }

  #ready(at: ErrorLocation, signal: AbortSignal): Opened {
    if (this.#closing.signal.aborted) throw new StorageError('CLOSED', at)
    if (this.#opened === undefined) throw new StorageError('MISCONFIGURED', at, { detail: 'call open() first' })
    signal.throwIfAborted()
    return this.#opened
  }

  async #run<T>(
    op: string,
    key: string | undefined,
    { signal }: Op,
    work: (opened: Opened, at: ErrorLocation) => Promise<T>,
  ): Promise<T> {
    const at = { backend: this.name, op, key }
    let running: Promise<T> | undefined
    try {
      running = work(this.#ready(at, signal), at)
      this.#running.add(running)
      return await running
    } catch (error) {
      throw toFsError(error, at, signal)
    } finally {
      if (running !== undefined) this.#running.delete(running)
    }
  }
}

/** A clone already has the bytes. Reading the body verifies them: it throws if they are wrong. */
async function readToEnd(body: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const _ of body);
}

/** The target of a blob, and the open directories for it. */
interface Target {
  readonly root: Root
  readonly tmp: Held
  readonly directory: Directory
  readonly path: string
}

/** Gives the blob its name, durably. */
async function publish(
  temp: Temp,
  { directory, root, tmp, path }: Target,
  { ifAbsent }: PutOptions,
  at: ErrorLocation,
): Promise<void> {
  const name = async (target: string) => {
    await checkAlias(root, path)
    await (ifAbsent ? claim(temp, target, at) : replace(temp, target, root, at))
  }
  await makeEntry(directory, basename(path), at, name, temp.path).catch(async (cause) => {
    if (errnoOf(cause) !== 'EXDEV' || !(await reachesRoot(root, tmp))) throw cause
    throw new StorageError('KEY_CONFLICT', at, { cause, detail: 'another file system is mounted in the way' })
  })
  try {
    await directory.sync()
  } catch (cause) {
    throw new StorageError('UNAVAILABLE', at, { cause, ambiguous: true, detail: 'its directory could not be flushed' })
  }
  if (await directory.isHere()) return
  await root.check(at)
  throw new StorageError('CONFLICT', at, { ambiguous: true, detail: 'its directory was moved away during the call' })
}

async function claim(temp: Temp, target: string, at: ErrorLocation): Promise<void> {
  try {
    await temp.claim(target)
  } catch (cause) {
    if (errnoOf(cause) !== 'EEXIST') throw cause
    const isBlob = (await io.lstat(target)).isFile()
    throw new StorageError(isBlob ? 'ALREADY_EXISTS' : 'KEY_CONFLICT', at, { cause })
  }
}

/** Replaces only a blob: anything else is not ours. */
async function replace(temp: Temp, target: string, root: Root, at: ErrorLocation): Promise<void> {
  const isInTheWay = await io.lstat(target, root.pace).then(
    (found) => !found.isFile(),
    (error) => {
      if (saysAbsent(error)) return false
      throw error
    },
  )
  if (isInTheWay) throw new StorageError('KEY_CONFLICT', at, { detail: 'what is there is not a blob' })
  await temp.replace(target)
}

/** @throws ENOTDIR if a blob exists under a name that the medium treats as the same. */
async function checkAlias(root: Root, path: string): Promise<void> {
  if (root.medium.caseSensitive && !root.medium.normalizes) return
  try {
    await io.lstat(path)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return
    throw error
  }
  await root.checkSpelling(path)
}

/** @returns Whether there was a blob to remove; a directory or a link is not one. */
async function remove(directory: Directory, root: Root, path: string): Promise<boolean> {
  const target = directory.at(basename(path))
  if (!(await io.lstat(target)).isFile()) return false
  await root.checkSpelling(path)
  if (!(await directory.isHere())) throw errnoError('ENOENT', path)
  await io.unlink(target)
  await directory.sync()
  return true
}

/** @returns `null` if certainly nothing is there. */
async function ifThere<T>(root: Root, at: ErrorLocation, found: Promise<T>): Promise<T | null> {
  try {
    return await found
  } catch (error) {
    if (!saysAbsent(error) && !(await cannotHold(root, error))) throw error
    await root.check(at)
    return null
  }
}

function capabilitiesOf(medium: Omit<Medium, 'procfs'>): Capabilities {
  return Object.freeze<Capabilities>({
    contract: 1,
    range: true,
    ifAbsent: medium.hardLinks,
    ifMatch: false,
    order: true,
    startAfter: true,
    usesFile: medium.reflinks,
    sweep: true,
    local: true,
    etag: 'strong',
    keys: Object.freeze({
      caseSensitive: medium.caseSensitive,
      normalizes: medium.normalizes,
      fileAndPrefix: false,
      maxSegmentBytes: MAX_SEGMENT_BYTES,
    }),
  })
}
