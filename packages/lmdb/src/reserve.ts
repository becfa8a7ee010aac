import { statfsSync } from 'node:fs'
import { StorageError } from '@stored/core/backend'

/** How long one look at the disk is believed, in milliseconds. */
const FRESH_MS = 1000
/** A page for each row of a commit, copied on write: what a small blob may cost beyond its bytes. */
const OVERHEAD = 64 * 1024
/** What LMDB may need to make its file. */
const HEADROOM = 1024 * 1024

/**
 * Refuses growth before the disk is full. What frees space (deletes, finished jobs) is not asked for and lives on the reserve,
 * and when others used that up, on the spare room in LMDB's file.
 */
export class DiskReserve {
  readonly #path: string
  readonly #reserve: number
  #free = 0
  #budget = 0
  #lookedAt = Number.NEGATIVE_INFINITY

  /** @param reserve In bytes. @default the larger of 256 MiB and 1 % of the disk, but at most a tenth of it */
  constructor(path: string, reserve?: number) {
    const { blocks, bsize } = statfsSync(path)
    const size = blocks * bsize
    this.#path = path
    this.#reserve = reserve ?? Math.min(Math.max(256 * 2 ** 20, size / 100), size / 10)
  }

  /** For what grows the store. @throws {StorageError} NO_SPACE: the reserve would be touched. */
  require(bytes: number): void {
    const need = bytes + OVERHEAD
    this.#look(need > this.#budget)
    if (need > this.#budget) throw noSpace(`less than ${this.#reserve} bytes would be left on the disk`)
    this.#budget -= need
  }

  /** Before a store is opened. @throws {StorageError} NO_SPACE: the disk is full. */
  requireHeadroom(): void {
    this.#look(true)
    if (this.#free < HEADROOM) throw noSpace('the disk is full')
  }

  #look(now: boolean): void {
    if (!now && performance.now() - this.#lookedAt < FRESH_MS) return
    const { bavail, bsize } = statfsSync(this.#path)
    this.#free = bavail * bsize
    this.#budget = this.#free - this.#reserve
    this.#lookedAt = performance.now()
  }
}

function noSpace(detail: string): StorageError {
  return new StorageError('NO_SPACE', { op: 'put' }, { detail })
}
