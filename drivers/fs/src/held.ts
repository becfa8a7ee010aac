import fs from 'node:fs'
import { errnoError } from './errors.ts'
import { io } from './io.ts'
import type { Pace } from './pace.ts'
import { join } from './paths.ts'

const { O_DIRECTORY, O_RDONLY } = fs.constants

/**
 * A directory that is open. What is reached through it lies in this very directory, wherever that is by now: a link that takes its
 * place, or that of a directory above it, leads nothing astray. Node.js has no `openat`, and `/proc/self/fd` does the same.
 * Without it a path is all there is, and `isHere` has to be asked before and after.
 */
export class Held implements Disposable {
  /** Where it lay when it was opened. */
  readonly path: string
  readonly fd: number
  /** Whether `at` reaches into what is open, and not into what lies at the path by now. */
  readonly procfs: boolean

  constructor(path: string, fd: number, procfs: boolean) {
    this.path = path
    this.fd = fd
    this.procfs = procfs
  }

  /**
   * @param path Absolute and free of links.
   * @param procfs Whether `/proc/self/fd` can be used.
   * @throws ELOOP when a link on the way led elsewhere · ENOENT and ENOTDIR when there is none, or no longer.
   */
  static async open(path: string, procfs: boolean, pace?: Pace): Promise<Held> {
    // Not by O_NOFOLLOW: a link may be anywhere on the way.
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

  /** The path of an entry in this directory, not in what may lie at its path by now. */
  at(name: string): string {
    return this.procfs ? `/proc/self/fd/${this.fd}/${name}` : join(this.path, name)
  }

  /** Whether it still lies at its path. */
  async isHere(): Promise<boolean> {
    return (await this.#place()) === this.path
  }

  /** Where it is, as far as that can be said. */
  async #place(): Promise<string> {
    return this.procfs ? placeOf(this.fd) : io.realpath(this.path)
  }

  [Symbol.dispose](): void {
    // Of a directory opened for reading there is nothing to write back: this does not block.
    fs.closeSync(this.fd)
  }
}

/**
 * Where what is open as `fd` lies, by its descriptor: only where there is `/proc/self/fd`. Synchronous, since the kernel makes the
 * answer up from memory, while the threads may all be busy flushing.
 */
export function placeOf(fd: number): string {
  return fs.readlinkSync(`/proc/self/fd/${fd}`)
}

/** Whether `/proc/self/fd` can be used on what lies in `directory`, which is absolute and free of links. */
export async function tellsPlaces(directory: string): Promise<boolean> {
  const fd = await io.open(directory, 'r')
  try {
    return (await io.readlink(`/proc/self/fd/${fd}`)) === directory
  } catch {
    // No such thing on this system: whatever the error says, it is of no use.
    return false
  } finally {
    await io.close(fd)
  }
}
