import { readFileSync } from 'node:fs'

/** Memory of a process that is its own: not RSS, where the pages of LMDB's map count. In bytes; `null` without procfs. */
export function anonymousMemory(pid: number): number | null {
  const kib = field(`/proc/${pid}/status`, /^RssAnon:\s+(\d+) kB$/m)
  return kib === null ? null : kib * 1024
}

/** Memory of a process that is pages of files it maps: the page cache has them, whoever maps them. In bytes; `null` without procfs. */
export function mappedMemory(pid: number): number | null {
  const kib = field(`/proc/${pid}/status`, /^RssFile:\s+(\d+) kB$/m)
  return kib === null ? null : kib * 1024
}

/** Bytes that a process has read so far, by whatever call, from wherever. `null` without procfs. */
export function bytesRead(pid: number): number | null {
  return field(`/proc/${pid}/io`, /^rchar:\s+(\d+)$/m)
}

/** Bytes that a process has written so far, by whatever call, to wherever. `null` without procfs. */
export function bytesWritten(pid: number): number | null {
  return field(`/proc/${pid}/io`, /^wchar:\s+(\d+)$/m)
}

function field(file: string, pattern: RegExp): number | null {
  try {
    const found = pattern.exec(readFileSync(file, 'utf8'))?.[1]
    return found === undefined ? null : Number(found)
  } catch {
    // No procfs, or the process is gone: there is nothing to be known, and the table says so.
    return null
  }
}

/** The highest memory of a process while it is watched. */
export class MemoryWatch {
  readonly #pid: number
  readonly #timer: NodeJS.Timeout
  readonly start: number | null
  #peak: number | null

  constructor(pid: number, everyMs = 5) {
    this.#pid = pid
    this.start = anonymousMemory(pid)
    this.#peak = this.start
    this.#timer = setInterval(() => this.#look(), everyMs)
  }

  /** @returns The highest value, in bytes. */
  end(): number | null {
    clearInterval(this.#timer)
    this.#look()
    return this.#peak
  }

  #look(): void {
    const now = anonymousMemory(this.#pid)
    if (now !== null && (this.#peak === null || now > this.#peak)) this.#peak = now
  }
}
