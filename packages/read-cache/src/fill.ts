import { randomUUID } from 'node:crypto'
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import type { BlobId } from '@stored/core'
import { MarkMaker } from './marks.ts'
import { contentPath, contentRoot, integrityOf, temporaryRoot } from './paths.ts'

/** A body that is written while it is being read. */
export interface Fill {
  /** Copies the chunk. */
  add(chunk: Uint8Array): void
  /** Turns it into an entry. */
  end(): Promise<void>
  /** Leaves nothing behind. */
  discard(): Promise<void>
}

export interface FillOptions {
  readonly location: string
  readonly id: BlobId
  /** In bytes. */
  readonly size: number
  /** Called when bytes no longer need memory. */
  readonly onFree: (bytes: number) => void
}

/** A body of one block: collected, then handed to cacache. */
export class SmallFill implements Fill {
  readonly #options: FillOptions
  readonly #chunks: Buffer[] = []
  #size = 0

  constructor(options: FillOptions) {
    this.#options = options
  }

  add(chunk: Uint8Array): void {
    this.#chunks.push(Buffer.from(chunk))
    this.#size += chunk.length
  }

  async end(): Promise<void> {
    try {
      const { default: cacache } = await import('cacache')
      const { location, id } = this.#options
      await cacache.put(location, id, Buffer.concat(this.#chunks), { algorithms: ['sha256'] })
    } finally {
      await this.discard()
    }
  }

  async discard(): Promise<void> {
    this.#options.onFree(this.#size)
    this.#size = 0
  }
}

/**
 * A body of several blocks: first one of cacache's temporary files, then part of its content. Not with
 * `cacache.put.stream`, which keeps its file open if it is abandoned half-way.
 */
export class LargeFill implements Fill {
  readonly #options: FillOptions
  readonly #marks = new MarkMaker()
  readonly #file: string
  #handle: FileHandle | undefined
  #failed = false
  #written: Promise<void>

  constructor(options: FillOptions) {
    this.#options = options
    this.#file = path.join(temporaryRoot(options.location), randomUUID())
    this.#written = this.#after(this.#open())
  }

  add(chunk: Uint8Array): void {
    if (this.#failed) {
      this.#options.onFree(chunk.length)
      return
    }
    const copy = Buffer.from(chunk)
    this.#marks.add(copy)
    const writing = this.#written.then(() => writeAll(this.#handle as FileHandle, copy))
    this.#written = this.#after(writing.finally(() => this.#options.onFree(copy.length)))
  }

  async end(): Promise<void> {
    const { location, id, size } = this.#options
    try {
      await this.#written
      await this.#close()
      const { default: cacache } = await import('cacache')
      const target = contentPath(contentRoot(location), id)
      await mkdir(path.dirname(target), { recursive: true })
      // Before the body: one without its marks is damaged.
      await cacache.index.insert(location, id, integrityOf(id), { size, metadata: this.#marks.end() })
      await rename(this.#file, target)
    } catch (error) {
      await this.discard()
      throw error
    }
  }

  async discard(): Promise<void> {
    this.#failed = true
    await Promise.allSettled([this.#written])
    await this.#close()
    await rm(this.#file, { force: true })
  }

  async #open(): Promise<void> {
    await mkdir(path.dirname(this.#file), { recursive: true })
    this.#handle = await open(this.#file, 'wx', 0o600)
  }

  /** Awaited by `end`; until then a failure is not unhandled. */
  #after(step: Promise<void>): Promise<void> {
    step.catch(() => {
      this.#failed = true
    })
    return step
  }

  async #close(): Promise<void> {
    const handle = this.#handle
    this.#handle = undefined
    await handle?.close()
  }
}

/** After all earlier writes. */
async function writeAll(handle: FileHandle, bytes: Buffer): Promise<void> {
  for (let done = 0; done < bytes.length; ) done += (await handle.write(bytes, done)).bytesWritten
}
