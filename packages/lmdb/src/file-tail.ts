import { closeSync, fstatSync, openSync, writeSync } from 'node:fs'
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
 */
export class FileTail implements Disposable {
  readonly #file: number
  readonly #makeRoom: () => boolean
  #size = 0

  /** @param makeRoom Called when the disk is full. Returns whether there may be room now. */
  constructor(file: string, makeRoom: () => boolean = () => false) {
    // Not the file that LMDB locks: closing it would end those locks.
    this.#file = openSync(file, 'r+')
    this.#makeRoom = makeRoom
  }

  /**
   * Only inside a commit: nobody else writes to the file then.
   *
   * @param end In bytes, of what the commit may write.
   * @throws {StorageError} NO_SPACE …
   */
  provide(end: number): void {
    if (end + KEPT <= this.#size) return
    const failure = this.#grow(end + SPARE)
    if (this.#size >= end) return
    if (this.#makeRoom()) this.#grow(end + SPARE)
    if (this.#size < end) throw mapErrno(failure, { op: 'commit' })
  }

  /** @returns What kept it from growing that far. */
  #grow(end: number): unknown {
    try {
      this.#size = fstatSync(this.#file).size
      while (this.#size < end)
        this.#size += writeSync(this.#file, ZEROS, 0, Math.min(SPARE, end - this.#size), this.#size)
      return undefined
    } catch (error) {
      return error
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#file)
  }
}
