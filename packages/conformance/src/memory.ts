import { readFileSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Ctx } from './case.ts'
import { check } from './expect.ts'

/** How much memory may grow while a large blob passes. */
const GROWTH_BYTES = 64 << 20
/** How many bytes pass between two measurements. */
const EVERY_BYTES = 16 << 20

/**
 * Anonymous memory of this process in bytes, after garbage collection; `null` if the system does not report it: the
 * resident size, which every system reports, grows with each mapped file.
 *
 * @see proc_pid_status(5), RssAnon
 */
function anonymousBytes(): number | null {
  if (process.platform !== 'linux') return null
  collectGarbage()
  const [, kib] = readFileSync('/proc/self/status', 'utf8').match(/^RssAnon:\s*(\d+) kB$/m) ?? []
  return kib === undefined ? null : Number(kib) * 1024
}

let collectGarbage: () => void = () => {
  setFlagsFromString('--expose-gc')
  collectGarbage = runInNewContext('gc') as () => void
  collectGarbage()
}

/** Measures how far memory grows while bytes pass. */
class MemoryWatch {
  /** The maximum so far, in bytes. */
  growth = 0
  readonly limit = GROWTH_BYTES
  readonly #before: number
  #passed = 0

  private constructor(before: number) {
    this.#before = before
  }

  /** `null` if memory cannot be measured. */
  static start(): MemoryWatch | null {
    const before = anonymousBytes()
    return before === null ? null : new MemoryWatch(before)
  }

  /** Records that this many bytes have passed. */
  passed(bytes: number): void {
    this.#passed += bytes
    if (this.#passed < EVERY_BYTES) return
    this.#passed = 0
    this.look()
  }

  look(): void {
    this.growth = Math.max(this.growth, (anonymousBytes() ?? 0) - this.#before)
  }
}

/** Skips the case if memory cannot be measured. */
export function watchMemory(t: Ctx): MemoryWatch {
  return MemoryWatch.start() ?? t.skip('memory can be measured on Linux alone: RssAnon of /proc/self/status')
}

export function staysSmall({ growth, limit }: MemoryWatch): void {
  check(growth <= limit, `memory grows by at most ${limit} bytes, but it grew by ${growth}`)
}
