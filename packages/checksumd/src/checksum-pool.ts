import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { Algorithm, Digests } from '@stored/core'
import { checkOptions, is, StorageError, toStorageError } from '@stored/core/backend'
import { Piscina } from 'piscina'
import type { FileDigestsOptions } from './file-digests.ts'
import { AT, checkTask, type FileOutcome, type FileTask, settle } from './file-outcome.ts'

/** How many files a pool hashes at a time. */
export interface ChecksumPoolOptions {
  /** Files hashed at a time, each in a thread of its own. Costs 1 MiB and a V8 heap each. @default one for each CPU */
  readonly threads?: number | undefined
}

// The source file in the workspace, the built one in a package: both lie beside this module.
const WORKER = new URL(import.meta.url.endsWith('.ts') ? './file-worker.ts' : './file-worker.js', import.meta.url)
const IDLE_MS = 1_000

/**
 * Digests of many files, in threads that start with the first file and end one second after the last one. Calls beyond
 * `threads` wait; an idle pool does not keep the process alive.
 *
 * Disposed, it ends its threads at once: calls under way reject with CLOSED, and so do later ones.
 */
export class ChecksumPool implements AsyncDisposable {
  readonly #pool: Piscina<FileTask, FileOutcome>
  #closed = false

  /** @throws {StorageError} INVALID_ARGUMENT. */
  constructor(options: ChecksumPoolOptions = {}) {
    const at = { op: 'ChecksumPool' }
    checkOptions(options, { threads: is.whole(1) }, at)
    const { threads = availableParallelism() } = options
    this.#pool = new Piscina({
      filename: fileURLToPath(WORKER),
      name: 'digestFile',
      minThreads: 0,
      maxThreads: threads,
      idleTimeout: IDLE_MS,
      recordTiming: false,
    })
  }

  /**
   * Digests of one file. An abort ends its thread, at whatever byte it is.
   *
   * @throws {StorageError} SOURCE_CHANGED: it was written to during the call · NOT_FOUND · PERMISSION_DENIED · INVALID_ARGUMENT: not
   *   a regular file, an unusable path, an unknown algorithm · ABORTED · CLOSED.
   */
  async file(path: string, algorithms: readonly Algorithm[], options: FileDigestsOptions = {}): Promise<Digests> {
    const task = { path, algorithms }
    checkTask(task, options)
    if (this.#closed) throw new StorageError('CLOSED', AT)
    return settle(await this.#run(task, options.signal), task)
  }

  async #run(task: FileTask, signal: AbortSignal | undefined): Promise<FileOutcome> {
    try {
      return await this.#pool.run(task, signal && { signal })
    } catch (error) {
      if (this.#closed && !signal?.aborted) throw new StorageError('CLOSED', AT, { cause: error })
      throw toStorageError(error, AT, signal)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    await this.#pool.destroy()
  }
}
