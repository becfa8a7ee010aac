import fs from 'node:fs'
import { promisify } from 'node:util'

/** A call that took longer waited for a disk, in milliseconds. */
const SLOW_MS = 5
/** What calls at once may take of one turn of the event loop, in milliseconds: a loop of them would let nothing else happen. */
const TURN_MS = 2
/** How long calls go to threads after one that waited, in milliseconds. */
const PAUSE_MS = 1000

/**
 * File systems of this machine, by their magic number. Of others, such as NFS, a call may take for ever.
 *
 * @see statfs(2): ext2 to ext4, XFS, Btrfs, F2FS, ZFS, tmpfs, overlayfs
 */
const LOCAL: ReadonlySet<number> = new Set([
  0xef53, 0x58465342, 0x9123683e, 0xf2f52010, 0x2fc12fc1, 0x01021994, 0x794c7630,
])

/**
 * Whether small calls are made at once, or on a thread.
 *
 * A local file system answers them out of memory in 2 to 40 µs, while handing one to a thread and back costs 20 to 60 µs of the
 * event loop's time: 4 KiB blobs were read 3 times as fast at once. Flushes always go to threads, and so does everything on
 * other file systems, for a second after a call that did wait for the disk, and once a turn of the event loop has had its share.
 */
export class Pace {
  readonly #isLocal: boolean
  #pausedUntil = 0
  #spentMs = 0

  static async of(directory: string): Promise<Pace> {
    const { type } = await promisify(fs.statfs)(directory)
    return new Pace(process.platform === 'linux' && LOCAL.has(type))
  }

  constructor(isLocal: boolean) {
    this.#isLocal = isLocal
  }

  get isQuick(): boolean {
    return this.#isLocal && this.#spentMs < TURN_MS && performance.now() >= this.#pausedUntil
  }

  /** Makes a call at once. */
  run<T>(call: () => T): T {
    const begun = performance.now()
    try {
      return call()
    } finally {
      const ended = performance.now()
      this.#spend(ended - begun)
      if (ended - begun > SLOW_MS) this.#pausedUntil = ended + PAUSE_MS
    }
  }

  #spend(ms: number): void {
    if (this.#spentMs === 0)
      setImmediate(() => {
        this.#spentMs = 0
      })
    this.#spentMs += ms
  }
}
