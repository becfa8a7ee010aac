import type { BlobId } from '@stored/core'
import { type Fill, type FillOptions, LargeFill, SmallFill } from './fill.ts'
import { BLOCK } from './marks.ts'

/** What all fills together hold in memory, in bytes. One that needs more is given up: the disk does not keep up. */
const MAX_PENDING = 32 * 1024 * 1024
/** Small bodies written at a time: the reads need threads, too. */
const WRITERS = 2

export interface FillerOptions {
  readonly location: string
  /** Of the bodies that are being written at a time, together, in bytes. */
  readonly maxSize: number
  /** Called when a body is there. */
  readonly onFilled: (id: BlobId, size: number) => void
  readonly onFailed: (error: unknown) => void
}

/** Writes what passes by, beside its reader and without making it wait. */
export class Filler {
  readonly #options: FillerOptions
  readonly #filling = new Map<BlobId, number>()
  readonly #ending = new Set<Promise<void>>()
  readonly #waiting: (() => void)[] = []
  #writers = 0
  #pending = 0
  /** Of the bodies that are being written. */
  #size = 0

  constructor(options: FillerOptions) {
    this.#options = options
  }

  /** Whether this process is writing it now. */
  isFilling(id: BlobId): boolean {
    return this.#filling.has(id)
  }

  /** The chunks of `body`, which are kept if it ends, and is `size` bytes then. */
  async *tee(id: BlobId, body: AsyncIterable<Uint8Array>, size: number): AsyncGenerator<Uint8Array, void, void> {
    let fill = this.#begin(id, size)
    let left = size
    try {
      for await (const chunk of body) {
        left -= chunk.length
        if (fill && !this.#add(fill, chunk)) fill = this.#giveUp(id, fill)
        yield chunk
      }
      if (fill && left === 0) fill = this.#end(id, fill, size)
    } finally {
      if (fill) this.#giveUp(id, fill)
    }
  }

  /** Resolves when every body that came to its end before is there, or is not going to be. */
  async settled(): Promise<void> {
    await Promise.all(this.#ending)
  }

  /** @returns `undefined` where another reader began to write it sooner, or too much is being written already. */
  #begin(id: BlobId, size: number): Fill | undefined {
    if (this.isFilling(id) || this.#size + size > this.#options.maxSize) return undefined
    this.#filling.set(id, size)
    this.#size += size
    const onFree = (bytes: number) => {
      this.#pending -= bytes
    }
    const options: FillOptions = { location: this.#options.location, id, size, onFree }
    return size <= BLOCK ? new SmallFill(options) : new LargeFill(options)
  }

  #add(fill: Fill, chunk: Uint8Array): boolean {
    if (this.#pending + chunk.length > MAX_PENDING) return false
    this.#pending += chunk.length
    fill.add(chunk)
    return true
  }

  #end(id: BlobId, fill: Fill, size: number): undefined {
    const write = fill instanceof SmallFill ? this.#inTurn(() => fill.end()) : fill.end()
    this.#track(
      id,
      write.then(() => this.#options.onFilled(id, size)),
    )
  }

  #giveUp(id: BlobId, fill: Fill): undefined {
    this.#track(id, fill.discard())
  }

  #track(id: BlobId, work: Promise<void>): void {
    const ending = work.catch(this.#options.onFailed).finally(() => {
      this.#size -= this.#filling.get(id) ?? 0
      this.#filling.delete(id)
      this.#ending.delete(ending)
    })
    this.#ending.add(ending)
  }

  async #inTurn(write: () => Promise<void>): Promise<void> {
    if (this.#writers === WRITERS) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    else this.#writers++
    try {
      await write()
    } finally {
      const next = this.#waiting.shift()
      if (next) next()
      else this.#writers--
    }
  }
}
