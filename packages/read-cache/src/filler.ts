import type { BlobId } from '@stored/core'
import { type Fill, type FillOptions, LargeFill, SmallFill } from './fill.ts'
import { BLOCK } from './marks.ts'

/**
 * How much memory all fills together may use, in bytes. One that needs more is abandoned: the disk does not keep up.
 */
const MAX_PENDING = 32 * 1024 * 1024
/** Small bodies written concurrently: reads need threads too. */
const WRITERS = 2

export interface FillerOptions {
  readonly location: string
  /** The total size of the bodies being written at a time, in bytes. */
  readonly maxSize: number
  /** Called when a body has been stored. */
  readonly onFilled: (id: BlobId, size: number) => void
  readonly onFailed: (error: unknown) => void
}

/** Writes passing bodies to the cache without slowing down their readers. */
export class Filler {
  readonly #options: FillerOptions
  readonly #filling = new Map<BlobId, number>()
  readonly #ending = new Set<Promise<void>>()
  readonly #waiting: (() => void)[] = []
  #writers = 0
  #pending = 0
  /** The total size of the bodies being written. */
  #size = 0

  constructor(options: FillerOptions) {
    this.#options = options
  }

  /** Whether this process is currently writing it. */
  isFilling(id: BlobId): boolean {
    return this.#filling.has(id)
  }

  /** The chunks of `body`, which are cached if it ends and has `size` bytes. */
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

  /** Resolves when every body that has already ended is stored, or will not be. */
  async settled(): Promise<void> {
    await Promise.all(this.#ending)
  }

  /** @returns `undefined` if another reader started writing it first, or too much is being written. */
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
