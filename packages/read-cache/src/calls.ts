import fs from 'node:fs'
import { statfs } from 'node:fs/promises'
import { promisify } from 'node:util'

/** A call that took longer than this waited for a disk, in milliseconds. */
const SLOW_MS = 5
/** How much of one turn of the event loop synchronous calls may take, in milliseconds. */
const TURN_MS = 2
/** How long calls go to threads after one that waited, in milliseconds. */
const PAUSE_MS = 1000
/** Local file systems: ext2 to ext4, XFS, Btrfs, F2FS, ZFS, tmpfs, overlayfs. @see statfs(2) */
const LOCAL: ReadonlySet<number> = new Set([
  0xef53, 0x58465342, 0x9123683e, 0xf2f52010, 0x2fc12fc1, 0x01021994, 0x794c7630,
])

/** O_NONBLOCK, because it may be a pipe. */
const READ = fs.constants.O_RDONLY | fs.constants.O_NONBLOCK

const threads = { open: promisify(fs.open), fstat: promisify(fs.fstat), futimes: promisify(fs.futimes) }

/**
 * File calls for a small hit. On a local file system they run synchronously, because the page cache answers sooner than
 * a thread wakes. They go to threads on other file systems, for a second after one that waited, and once a turn of the
 * event loop has used its share.
 */
export class Calls {
  readonly #isLocal: boolean
  #pausedUntil = 0
  #spentMs = 0

  static async for(directory: string): Promise<Calls> {
    const { type } = await statfs(directory)
    return new Calls(process.platform === 'linux' && LOCAL.has(type))
  }

  constructor(isLocal: boolean) {
    this.#isLocal = isLocal
  }

  async open(path: string): Promise<number> {
    return this.#isQuick() ? this.#run(() => fs.openSync(path, READ)) : threads.open(path, READ)
  }

  async fstat(fd: number): Promise<fs.Stats> {
    return this.#isQuick() ? this.#run(() => fs.fstatSync(fd)) : threads.fstat(fd)
  }

  /** @returns The bytes read; 0 at the end of the file. */
  async read(fd: number, buffer: Uint8Array, position: number): Promise<number> {
    if (this.#isQuick()) return this.#run(() => fs.readSync(fd, buffer, position, buffer.length - position, position))
    return new Promise((resolve, reject) => {
      fs.read(fd, buffer, position, buffer.length - position, position, (error, count) =>
        error ? reject(error) : resolve(count),
      )
    })
  }

  async touch(fd: number, now: Date): Promise<void> {
    return this.#isQuick() ? this.#run(() => fs.futimesSync(fd, now, now)) : threads.futimes(fd, now, now)
  }

  #isQuick(): boolean {
    return this.#isLocal && this.#spentMs < TURN_MS && performance.now() >= this.#pausedUntil
  }

  #run<T>(call: () => T): T {
    const begun = performance.now()
    try {
      return call()
    } finally {
      this.#spend(begun, performance.now())
    }
  }

  #spend(begun: number, ended: number): void {
    if (ended - begun > SLOW_MS) this.#pausedUntil = ended + PAUSE_MS
    if (this.#spentMs === 0)
      setImmediate(() => {
        this.#spentMs = 0
      })
    this.#spentMs += ended - begun
  }
}
