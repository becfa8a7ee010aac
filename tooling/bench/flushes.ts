import { spawnSync } from 'node:child_process'
import { closeSync, openSync, readSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const SOURCE = fileURLToPath(new URL('fsync.c', import.meta.url))

/** Flushes of one process so far. */
export interface FlushCount {
  /** fsync, fdatasync, syncfs and msync. */
  readonly flushes: number
  /** Writes through descriptors opened with O_DSYNC. */
  readonly dsyncWrites: number
}

export interface FlushDelay {
  readonly microseconds: number
  /** O_DSYNC writes too. */
  readonly dsync?: boolean
}

/** Counts and delays the flushes of child processes, by a small library that is preloaded into them. */
export class FlushCounter {
  readonly #library: string
  readonly #file: string

  /** @returns Why it cannot be had, where it cannot. */
  static build(directory: string): FlushCounter | string {
    if (process.platform !== 'linux') return `LD_PRELOAD is of Linux, this is ${process.platform}`
    const library = join(directory, 'fsync.so')
    const { error, status, stderr } = spawnSync('cc', ['-shared', '-fPIC', '-O2', '-o', library, SOURCE, '-ldl'], {
      encoding: 'utf8',
    })
    if (error) return `there is no C compiler: ${error.message}`
    if (status !== 0) return `cc failed: ${stderr.trim()}`
    return new FlushCounter(library, join(directory, 'flushes'))
  }

  private constructor(library: string, file: string) {
    this.#library = library
    this.#file = file
  }

  /** What a process needs in its environment. The count starts at 0. */
  environment(delay?: FlushDelay): Record<string, string> {
    writeFileSync(this.#file, Buffer.alloc(16))
    return {
      LD_PRELOAD: this.#library,
      FSYNC_COUNTER: this.#file,
      ...(delay && { FSYNC_DELAY_US: String(delay.microseconds) }),
      ...(delay?.dsync && { FSYNC_DELAY_DSYNC: '1' }),
    }
  }

  read(): FlushCount {
    const bytes = Buffer.alloc(16)
    const fd = openSync(this.#file, 'r')
    readSync(fd, bytes)
    closeSync(fd)
    return { flushes: Number(bytes.readBigUInt64LE(0)), dsyncWrites: Number(bytes.readBigUInt64LE(8)) }
  }
}
