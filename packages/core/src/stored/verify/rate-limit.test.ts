import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { Pace } from './rate-limit.ts'

const { signal } = new AbortController()

describe('passed()', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }))
  afterEach(() => void vi.useRealTimers())

  /** How long `work` waits, by the faked clock, in milliseconds. */
  async function waited(work: Promise<unknown>): Promise<number> {
    const start = performance.now()
    let ended = false
    work.then(() => {
      ended = true
    })
    await Promise.resolve()
    for (; !ended; await Promise.resolve()) await vi.advanceTimersToNextTimerAsync()
    return performance.now() - start
  }

  async function pass(pace: Pace, chunks: number[]): Promise<void> {
    for (const bytes of chunks) await pace.passed(bytes, signal)
  }

  test('waits as long as the bytes take at the rate', async () => {
    expect(await waited(pass(new Pace(1000), [500, 1500]))).toBe(2000)
  })

  test('puts off what is shorter than a timer, and adds it up', async () => {
    const pass1000 = pass(
      new Pace(1_000_000),
      Array.from({ length: 1000 }, () => 1000),
    )
    const ms = await waited(pass1000)
    expect(ms).toBeGreaterThan(980)
    expect(ms).toBeLessThanOrEqual(1010)
  })

  test('saves up nothing while nothing passes', async () => {
    const pace = new Pace(1000)
    await waited(pace.passed(1000, signal))
    vi.advanceTimersByTime(60_000)
    expect(await waited(pace.passed(1000, signal))).toBe(1000)
  })

  test('without a rate never waits', async () => {
    await pass(new Pace(), [2 ** 40, 2 ** 40])
    expect(vi.getTimerCount()).toBe(0)
  })

  test('aborted throws the reason, and leaves no timer', async () => {
    const abort = new AbortController()
    const waiting = new Pace(1).passed(1000, abort.signal)
    const reason = new Error('enough')
    abort.abort(reason)
    await expect(waiting).rejects.toBe(reason)
    await expect(new Pace(1).passed(1000, abort.signal)).rejects.toBe(reason)
    expect(vi.getTimerCount()).toBe(0)
  })
})
