import fs from 'node:fs'
import { promisify } from 'node:util'

/** A call that took longer than this waited for a disk, in milliseconds. */
const SLOW_MS = 5
/**
 * How much of one turn of the event loop synchronous calls may take, in milliseconds: a loop of them would starve
 * everything else.
 */
const TURN_MS = 2
/** How long calls go to threads after one that waited, in milliseconds. */
const PAUSE_MS = 1000

/**
 * Local file systems, by their magic number. On others, such as NFS, a call may block forever.
 *
 * @see statfs(2): ext2 to ext4, XFS, Btrfs, F2FS, ZFS, tmpfs, overlayfs
 */
const LOCAL: ReadonlySet<number> = new Set([
  0xef53, 0x58465342, 0x9123683e, 0xf2f52010, 0x2fc12fc1, 0x01021994, 0x794c7630,
])

/**
 * Decides whether small calls run synchronously or on a thread.
 *
 * A local file system answers them from memory in 2 to 40 µs, while handing a call to a thread and back costs 20 to 60
 * µs of the event loop's time: 4 KiB blobs were read 3 times as fast synchronously. Flushes always go to threads, and
 * so do all calls on other file systems, for a second after a call that did wait for the disk, and once a turn of the
 * event loop has used its share.
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

  /** Runs a call synchronously. */
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
