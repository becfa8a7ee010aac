import fs from 'node:fs'
import { errnoError } from './errors.ts'
import { io } from './io.ts'
import type { Pace } from './pace.ts'
import { join } from './paths.ts'

const { O_DIRECTORY, O_RDONLY } = fs.constants

/**
 * An open directory. What is reached through it is in this very directory, wherever that has been moved: a link that
 * takes its place, or that of a parent, leads nothing astray. Node.js has no `openat`; `/proc/self/fd` does the same.
 * Without it there is only the path, and `isHere` must be checked before and after.
 */
export class Held implements Disposable {
  /** Its path when it was opened. */
  readonly path: string
  readonly fd: number
  /** Whether `at` reaches into the open directory, rather than into whatever is at the path now. */
  readonly procfs: boolean

  constructor(path: string, fd: number, procfs: boolean) {
    this.path = path
    this.fd = fd
    this.procfs = procfs
  }

  /**
   * @param path Absolute and free of links.
   * @param procfs Whether `/proc/self/fd` can be used.
   * @throws ELOOP if a link on the way led elsewhere · ENOENT and ENOTDIR if it does not exist, or no longer.
   */
  static async open(path: string, procfs: boolean, pace?: Pace): Promise<Held> {
    // O_NOFOLLOW is not enough: a link may be anywhere on the way.
    const held = new Held(path, await io.open(path, O_RDONLY | O_DIRECTORY, undefined, pace), procfs)
    try {
      const place = await held.#place()
      if (place === path) return held
      throw errnoError(place === `${path} (deleted)` ? 'ENOENT' : 'ELOOP', path)
    } catch (error) {
      held[Symbol.dispose]()
      throw error
    }
  }

  /** The path of an entry in this directory, not in whatever may be at its path now. */
  at(name: string): string {
    return this.procfs ? `/proc/self/fd/${this.fd}/${name}` : join(this.path, name)
  }

  /** Whether it is still at its path. */
  async isHere(): Promise<boolean> {
    return (await this.#place()) === this.path
  }

  /** Its current path, as far as that is known. */
  async #place(): Promise<string> {
    return this.procfs ? placeOf(this.fd) : io.realpath(this.path)
  }

  [Symbol.dispose](): void {
    // A directory opened for reading has nothing to write back: this does not block.
    fs.closeSync(this.fd)
  }
}

/**
 * The path of what is open as `fd`; only with `/proc/self/fd`. Synchronous, since the kernel answers from memory, while
 * all threads may be busy flushing.
 */
export function placeOf(fd: number): string {
  return fs.readlinkSync(`/proc/self/fd/${fd}`)
}

/** Whether `/proc/self/fd` can be used for files in `directory`, which is absolute and free of links. */
export async function tellsPlaces(directory: string): Promise<boolean> {
  const fd = await io.open(directory, 'r')
  try {
    return (await io.readlink(`/proc/self/fd/${fd}`)) === directory
  } catch {
    // Not available on this system: whatever the error says, it cannot be used.
    return false
  } finally {
    await io.close(fd)
  }
}
