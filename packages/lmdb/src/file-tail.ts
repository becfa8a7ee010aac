import { closeSync, constants, fstatSync, openSync, write, writeSync } from 'node:fs'
import { mapErrno } from '@stored/core/backend'

/** Room made behind what a commit may need, so that few commits grow the file. */
const SPARE = 2 * 1024 * 1024
/** Kept there while the disk has any, so that what frees space can be committed when it has none. */
const KEPT = SPARE / 2
const ZEROS = Buffer.alloc(SPARE)

/**
 * Room at the end of LMDB's file, written before LMDB needs it. LMDB must never meet ENOSPC: what it says of a page that it could
 * not write does not fit the 100 bytes it allocates for it, which aborts the process (lmdb 3.5.6, mdb_page_flush() in mdb.c).
 * What lies behind the last page LMDB ignores, and overwrites as it grows. File systems that copy on write may still run full.
 *
 * The file is only ever appended to (O_APPEND): zeros never land on a page, whatever this process or another one writes meanwhile.
 */
export class FileTail {
  readonly #file: number
  readonly #makeRoom: () => boolean
  #size = 0
  #growing: Promise<void> | undefined

  /** @param makeRoom Called when the disk is full. Returns whether there may be room now. */
  constructor(file: string, makeRoom: () => boolean = () => false) {
    // Not the file that LMDB locks: closing it would end those locks.
    this.#file = openSync(file, constants.O_WRONLY | constants.O_APPEND)
    this.#makeRoom = makeRoom
  }

  /**
   * Inside a commit, before its pages are written.
   *
   * @param end In bytes, of what the commit may write.
   * @throws {StorageError} NO_SPACE …
   */
  provide(end: number): void {
    if (end <= this.#size) return
    const failure = this.#grow(end + SPARE)
    if (this.#size >= end) return
    if (this.#makeRoom()) this.#grow(end + SPARE)
    if (this.#size < end) throw mapErrno(failure, { op: 'commit' })
  }

  /**
   * Between commits, in the background: the next one should find its room, and not hold the lock while it is written. A disk that is
   * full, or fails, is no error here: a commit that lacks the room meets it.
   *
   * @param end In bytes, of what the next commit may write.
   */
  prepare(end: number): void {
    if (this.#growing || end + KEPT <= this.#size) return
    this.#growing = this.#growAside(end + SPARE)
      .catch(() => {})
      .finally(() => {
        this.#growing = undefined
      })
  }

  /** Ends what is being prepared. */
  async close(): Promise<void> {
    await this.#growing
    closeSync(this.#file)
  }

  /** @returns What kept it from growing that far. */
  #grow(end: number): unknown {
    try {
      this.#size = fstatSync(this.#file).size
      while (this.#size < end) this.#size += writeSync(this.#file, ZEROS, 0, Math.min(SPARE, end - this.#size))
      return undefined
    } catch (error) {
      return error
    }
  }

  async #growAside(end: number): Promise<void> {
    for (;;) {
      this.#size = fstatSync(this.#file).size
      if (this.#size >= end || (await this.#append(Math.min(SPARE, end - this.#size))) === 0) return
    }
  }

  /** @returns How many bytes; none if it failed. */
  #append(bytes: number): Promise<number> {
    return new Promise((resolve) =>
      write(this.#file, ZEROS, 0, bytes, null, (error, done) => resolve(error ? 0 : done)),
    )
  }
}
