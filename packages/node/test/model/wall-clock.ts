import { vi } from 'vitest'
import { Clock } from '../proof/clock.ts'

const START = Date.UTC(2026, 0, 1)
const FAKED = ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'performance'] as const

/** A clock that somebody sets; what waits for time to pass does not notice. */
export class WallClock extends Clock {
  jump(ms: number): void {
    vi.setSystemTime(Date.now() + ms)
  }

  /** Forgets every timer, as the end of a process does. */
  forget(now = Date.now()): void {
    vi.useRealTimers()
    vi.useFakeTimers({ toFake: [...FAKED], now })
  }

  /** As at first. */
  reset(): void {
    this.forget(START)
  }
}
