import type { LogEvent } from '../backend/contract.ts'
import { printable } from '../backend/printable.ts'
import { redact } from '../backend/redact.ts'

/** Per level and minute. Nobody reads more, and a log has a bounded disk. */
const MOST = 100
const MINUTE_MS = 60_000
const ENOUGH = 'more of these are left out for up to a minute'

type Level = LogEvent['level']

/**
 * Passes messages of a driver or its guard to a listener: without secrets, printable and bounded. Neither a bad message
 * nor an error of the listener breaks the call that logs.
 */
export class Log {
  readonly #listener: (event: LogEvent) => void
  readonly #now: () => number
  readonly #said: Record<Level, { since: number; count: number }> = {
    debug: { since: Number.NEGATIVE_INFINITY, count: 0 },
    warn: { since: Number.NEGATIVE_INFINITY, count: 0 },
  }

  /** @param now In milliseconds. */
  constructor(listener: (event: LogEvent) => void, now: () => number = () => performance.now()) {
    this.#listener = listener
    this.#now = now
  }

  readonly write = (event: LogEvent): void => {
    try {
      // A driver need not be written in TypeScript.
      const { level: given, message, key } = event
      const level = given === 'debug' ? 'debug' : 'warn'
      const count = this.#count(level)
      if (count > MOST + 1) return
      if (count > MOST) this.#listener({ level, message: ENOUGH })
      else this.#listener({ level, message: shown(message), ...(key !== undefined && { key: redact(String(key)) }) })
    } catch (error) {
      process.emitWarning(error instanceof Error ? error : String(error), { code: 'STORED_LISTENER' })
    }
  }

  #count(level: Level): number {
    const said = this.#said[level]
    if (this.#now() - said.since >= MINUTE_MS) Object.assign(said, { since: this.#now(), count: 0 })
    return ++said.count
  }
}

function shown(message: unknown): string {
  return printable(redact(String(message)))
}
