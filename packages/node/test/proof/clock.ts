import { syncBuiltinESMExports } from 'node:module'
import type { TimerOptions } from 'node:timers'
import timersPromises from 'node:timers/promises'
import { vi } from 'vitest'

const START = Date.UTC(2026, 0, 1)
const DAY_MS = 24 * 60 * 60 * 1000

/**
 * A clock that only jumps, from one timer to the next, once everything that needs no time has happened. What runs on it must
 * touch nothing but memory: nobody waits for a disk.
 */
export class Clock implements Disposable {
  readonly #setTimeout = timersPromises.setTimeout
  readonly #setImmediate = timersPromises.setImmediate
  /** Who gave others a turn, as between two pages of rows, and goes on without time going by. */
  #yielding = 0

  constructor() {
    const toFake = ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'performance'] as const
    vi.useFakeTimers({ toFake: [...toFake], now: START })
    timersPromises.setTimeout = waitByGlobalTimer
    timersPromises.setImmediate = async (...args) => {
      this.#yielding++
      return this.#setImmediate(...args).finally(() => this.#yielding--)
    }
    syncBuiltinESMExports()
  }

  /** Milliseconds since it was made. */
  get now(): number {
    return Date.now() - START
  }

  /** Lets time pass until `work` is settled. @throws When a simulated day is not enough for it. */
  async until<T>(work: Promise<T>): Promise<T> {
    let isSettled = false
    const settle = () => {
      isSettled = true
    }
    work.then(settle, settle)
    const end = this.now + DAY_MS
    for (await this.#turn(); !isSettled; await this.#turn()) {
      if (vi.getTimerCount() === 0) throw new Error('nothing is left that could happen')
      if (this.now > end) throw new Error('a day went by')
      vi.advanceTimersToNextTimer()
    }
    return work
  }

  /** Lets so much time pass. */
  pass(ms: number): Promise<void> {
    return this.until(new Promise((resolve) => setTimeout(resolve, ms)))
  }

  [Symbol.dispose](): void {
    timersPromises.setTimeout = this.#setTimeout
    timersPromises.setImmediate = this.#setImmediate
    syncBuiltinESMExports()
    vi.useRealTimers()
  }

  /** All that needs no time is done after it. */
  async #turn(): Promise<void> {
    do await new Promise((resolve) => setImmediate(resolve))
    while (this.#yielding > 0)
  }
}

/** As `setTimeout` of node:timers/promises, which no fake clock replaces. */
function waitByGlobalTimer<T>(ms?: number, value?: T, { signal }: TimerOptions = {}): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort)
      resolve(value as T)
    }, ms)
    if (signal?.aborted) onAbort()
    signal?.addEventListener('abort', onAbort)
  })
}
