import { randomFillSync } from 'node:crypto'
import { statSync, truncateSync, unlinkSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import path from 'node:path'
import { setMode } from '@stored/core/files'

const NAME = 'ballast'
/** In bytes. */
const SIZE = 16 * 1024 * 1024
/** Of the disk: what a ballast takes at most. */
const MOST = 1 / 10
const STEP = 1024 * 1024
/** What is given back at a time: others may take it before it is used. */
const PORTION = 4 * 1024 * 1024

/**
 * Space that a store holds, to give it back when the disk has none left: what reads, deletes and syncs needs a little to be opened and
 * committed. Blocks that are really written, with bytes that no file system compresses or leaves out.
 *
 * The file is cut rather than removed, and only ever appended to: so processes that build it at once, or while another one gives
 * it back, leave no holes in it, and no bytes that only an open file holds.
 */
export class Ballast {
  /** In bytes, when it is whole. */
  readonly size: number
  readonly #file: string
  readonly #mode: number
  #building: Promise<void> | undefined
  #closed = false

  /**
   * @param disk The size of the disk, in bytes.
   * @param mode Of the file, where it is made now.
   */
  constructor(directory: string, disk: number, mode = 0o600) {
    this.#mode = mode
    this.#file = path.join(directory, NAME)
    this.size = Math.min(SIZE, Math.floor(disk * MOST))
  }

  /** Bytes that it lacks. */
  get missing(): number {
    return Math.max(0, this.size - this.#length)
  }

  /** Gives a part of it back. @returns Whether there was any. */
  giveBack(): boolean {
    const length = this.#length
    if (length === 0) return false
    try {
      // At once. What is unlinked may be freed a moment later (XFS).
      truncateSync(this.#file, Math.max(0, length - PORTION))
    } catch {
      // Where files are copied on write, to shorten one takes space.
      unlinkSync(this.#file)
    }
    return true
  }

  /**
   * Builds what is missing, in the background. A disk that has no room for it, or fails, is no error: somebody builds it later.
   *
   * @param hasRoom Asked before each step, whether the disk has room for what is missing.
   */
  build(hasRoom: (missing: number) => boolean): void {
    this.#building ??= this.#build(hasRoom)
      .catch(() => {})
      .finally(() => {
        this.#building = undefined
      })
  }

  /** Ends building it. What there is stays. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#building
  }

  get #length(): number {
    return statSync(this.#file, { throwIfNoEntry: false })?.size ?? 0
  }

  async #open(): Promise<FileHandle> {
    const isNew = this.#length === 0
    const handle = await open(this.#file, 'a', this.#mode)
    if (isNew) await setMode(this.#file, this.#mode)
    return handle
  }

  async #build(hasRoom: (missing: number) => boolean): Promise<void> {
    let handle: FileHandle | undefined
    const noise = Buffer.allocUnsafe(STEP)
    try {
      for (let missing = this.missing; missing > 0 && !this.#closed && hasRoom(missing); missing = this.missing) {
        handle ??= await this.#open()
        await handle.write(randomFillSync(noise.subarray(0, missing)))
      }
    } finally {
      await handle?.close()
    }
  }
}
