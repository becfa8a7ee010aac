import { statfsSync } from 'node:fs'
import type { DiskUsage } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import type { Ballast } from './ballast.ts'

/** How long one look at the disk is believed, in milliseconds. */
const FRESH_MS = 1000
/** A page for each row of a commit, copied on write: what a small blob may cost beyond its bytes. */
const OVERHEAD = 64 * 1024
/** What LMDB may need to make its file. */
const HEADROOM = 1024 * 1024

/**
 * Refuses growth before the disk is full. What frees space (deletes, finished jobs) is not asked for and lives on the reserve,
 * and when others used that up, on the ballast and on the spare room in LMDB's file.
 */
export class DiskReserve {
  readonly #path: string
  readonly #reserve: number
  readonly #ballast: Ballast | undefined
  #free = 0
  #budget = 0
  #lookedAt = Number.NEGATIVE_INFINITY

  /**
   * @param reserve In bytes. @default the larger of 256 MiB and 1 % of the disk, but at most a tenth of it
   * @param ballast Left room for, beside the reserve, where it is not built.
   */
  constructor(path: string, reserve?: number, ballast?: Ballast) {
    const size = sizeOfDisk(path)
    this.#path = path
    this.#reserve = reserve ?? Math.min(Math.max(256 * 2 ** 20, size / 100), size / 10)
    this.#ballast = ballast
  }

  /** For what grows the store. @throws {StorageError} NO_SPACE: the reserve would be touched. */
  require(bytes: number, op = 'put'): void {
    const need = bytes + OVERHEAD
    if (this.#look(need > this.#budget) && this.#budget >= 0) this.replenish()
    if (need > this.#budget) throw noSpace(op, `less than ${this.#reserve} bytes would be left on the disk`)
    this.#budget -= need
  }

  /** Before a store is opened. Gives as much of the ballast back as that takes. @throws {StorageError} NO_SPACE: the disk is full. */
  requireHeadroom(): void {
    this.#look(true)
    while (this.#free < HEADROOM && this.#ballast?.giveBack()) this.#look(true)
    if (this.#free >= HEADROOM) return
    throw noSpace('open', `the disk is full: to open the store takes ${HEADROOM} bytes, and ${this.#free} are free`)
  }

  /** For a commit that found no space. @returns Whether there may be some now. */
  makeRoom(): boolean {
    const isGiven = this.#ballast?.giveBack() ?? false
    if (isGiven) this.#look(true)
    return isGiven
  }

  /** As the disk is now. */
  get usage(): DiskUsage {
    return { free: this.#freeNow(), reserve: this.#reserve, missingBallast: this.#ballast?.missing ?? 0 }
  }

  /** Builds the ballast, where there is room for it beside the reserve. */
  replenish(): void {
    this.#ballast?.build((missing) => this.#freeNow() - this.#reserve >= missing)
  }

  /** @returns Whether it looked, and the ballast is not whole. */
  #look(now: boolean): boolean {
    if (!now && performance.now() - this.#lookedAt < FRESH_MS) return false
    const missing = this.#ballast?.missing ?? 0
    this.#free = this.#freeNow()
    this.#budget = this.#free - this.#reserve - missing
    this.#lookedAt = performance.now()
    return missing > 0
  }

  #freeNow(): number {
    const { bavail, bsize } = statfsSync(this.#path)
    return bavail * bsize
  }
}

/** In bytes. */
export function sizeOfDisk(path: string): number {
  const { blocks, bsize } = statfsSync(path)
  return blocks * bsize
}

function noSpace(op: string, detail: string): StorageError {
  return new StorageError('NO_SPACE', { op }, { detail })
}
