import type { Claimed } from '@stored/core'
import { describe, expect, test, vi } from 'vitest'
import { isSuspect, poisonOf, retrialAfter, Suspects } from './suspects.ts'

function jobOf(key: string, crashes?: number, more: Partial<Claimed> = {}): Claimed {
  return { backend: 'x', op: 'put', key, ...(crashes !== undefined && { crashes }), ...more } as Claimed
}

/** Work that ends when it is told to, and the order in which it started. */
class FakeWork {
  readonly begun: string[] = []
  readonly #ends = new Map<string, PromiseWithResolvers<void>>()

  of = (key: string) => (): Promise<void> => {
    const end = Promise.withResolvers<void>()
    this.begun.push(key)
    this.#ends.set(key, end)
    return end.promise
  }

  end(key: string): void {
    this.#ends.get(key)?.resolve()
  }

  fail(key: string): void {
    this.#ends.get(key)?.reject(new Error(key))
  }
}

const { signal } = new AbortController()

/** Lets everything run that needs no timer. */
const settled = () => new Promise((resolve) => setImmediate(resolve))

describe('a job', () => {
  test('is suspect if it was running when its process died', () => {
    expect([jobOf('k'), jobOf('k', 0), jobOf('k', 1), jobOf('k', 2)].map(isSuspect)).toEqual([false, false, true, true])
  })

  test('is poison after three crashes, and no sooner', () => {
    for (const crashes of [undefined, 0, 1, 2]) expect(poisonOf(jobOf('k', crashes))).toBeNull()
    for (const crashes of [3, 4])
      expect(poisonOf(jobOf('k', crashes))).toMatchObject({
        code: 'INTERNAL',
        at: { backend: 'x', op: 'put', key: 'k' },
        detail: `started ${crashes} times and never ended`,
      })
  })

  test('is no poison while it is tried again all the same', () => {
    expect(poisonOf(jobOf('k', 4, { retrial: true }))).toBeNull()
  })

  test('that was parked is left alone for an hour, then twice as long after each crash, up to a day', () => {
    const hours = [3, 4, 5, 6, 7, 8, 100].map((crashes) => retrialAfter(jobOf('k', crashes)) / 3_600_000)
    expect(hours).toEqual([1, 2, 4, 8, 16, 24, 24])
  })
})

describe('take()', () => {
  test('starts non-suspects at once, whatever suspects do', () => {
    const [suspects, work] = [new Suspects(), new FakeWork()]
    void suspects.take(jobOf('a', 1), signal, work.of('a'))
    void suspects.take(jobOf('b'), signal, work.of('b'))
    void suspects.take(jobOf('c'), signal, work.of('c'))
    expect(work.begun).toEqual(expect.arrayContaining(['b', 'c']))
  })

  test('runs suspects one at a time, in turn', async () => {
    const [suspects, work] = [new Suspects(), new FakeWork()]
    const taken = ['a', 'b', 'c'].map((key) => suspects.take(jobOf(key, 1), signal, work.of(key)))
    await settled()
    expect(work.begun).toEqual(['a'])
    work.end('a')
    await taken[0]
    await settled()
    expect(work.begun).toEqual(['a', 'b'])
    work.end('b')
    await taken[1]
    await settled()
    work.end('c')
    await taken[2]
    expect(work.begun).toEqual(['a', 'b', 'c'])
  })

  test.for<[string, Partial<Claimed>]>([
    ['died with others', { alone: true }],
    ['was parked for its crashes and is tried again', { retrial: true }],
  ])('starts one that %s once all suspects before it have ended, and none beside it', async ([, more]) => {
    vi.useFakeTimers()
    try {
      const [suspects, work] = [new Suspects(), new FakeWork()]
      const take = (key: string, more?: Partial<Claimed>) =>
        void suspects.take(jobOf(key, 1, more), signal, work.of(key))
      take('a')
      take('lone', more)
      take('c')
      await vi.advanceTimersByTimeAsync(6000)
      expect(work.begun).toEqual(['a'])
      work.end('a')
      await vi.advanceTimersByTimeAsync(6000)
      expect(work.begun).toEqual(['a', 'lone'])
      work.end('lone')
      await vi.advanceTimersByTimeAsync(0)
      expect(work.begun).toEqual(['a', 'lone', 'c'])
    } finally {
      vi.useRealTimers()
    }
  })

  test('starts the next one when one has run for five seconds: it hangs, and kills nothing', async () => {
    vi.useFakeTimers()
    try {
      const [suspects, work] = [new Suspects(), new FakeWork()]
      const [hanging, next] = ['hangs', 'b'].map((key) => suspects.take(jobOf(key, 1), signal, work.of(key)))
      await vi.advanceTimersByTimeAsync(4999)
      expect(work.begun).toEqual(['hangs'])
      await vi.advanceTimersByTimeAsync(1)
      expect(work.begun).toEqual(['hangs', 'b'])
      work.end('b')
      await next
      work.end('hangs')
      await hanging
      await vi.advanceTimersByTimeAsync(0)
      expect(vi.getTimerCount()).toBe(0)
    } finally {
      vi.useRealTimers()
    }
  })

  test('lets one that has to be alone begin when those before have ended or run for more than a minute, and the next after it', async () => {
    vi.useFakeTimers()
    try {
      const [suspects, work] = [new Suspects(), new FakeWork()]
      const taken = [jobOf('hangs', 1), jobOf('b', 1, { alone: true }), jobOf('c', 1)].map((job) =>
        suspects.take(job, signal, work.of(job.key)),
      )
      await vi.advanceTimersByTimeAsync(60_000)
      expect(work.begun).toEqual(['hangs'])
      await vi.advanceTimersByTimeAsync(20_000)
      expect(work.begun).toEqual(['hangs', 'b'])
      await vi.advanceTimersByTimeAsync(60_000)
      expect(work.begun).toEqual(['hangs', 'b'])
      work.end('b')
      await vi.advanceTimersByTimeAsync(0)
      expect(work.begun).toEqual(['hangs', 'b', 'c'])
      for (const key of ['hangs', 'c']) work.end(key)
      await Promise.all(taken)
    } finally {
      vi.useRealTimers()
    }
  })

  test('does not keep one that is to end waiting for others, and those behind it wait for them all the same', async () => {
    const [suspects, work] = [new Suspects(), new FakeWork()]
    const end = new AbortController()
    void suspects.take(jobOf('a', 1), signal, work.of('a'))
    const second = suspects.take(jobOf('b', 1, { alone: true }), end.signal, work.of('b'))
    const third = suspects.take(jobOf('c', 1, { alone: true }), signal, work.of('c'))
    await settled()
    end.abort()
    await settled()
    expect(work.begun).toEqual(['a', 'b'])
    work.end('b')
    await second
    await settled()
    expect(work.begun).toEqual(['a', 'b'])
    work.end('a')
    await settled()
    expect(work.begun).toEqual(['a', 'b', 'c'])
    work.end('c')
    await third
  })

  test('whose work fails tells only its caller, and the next has its turn', async () => {
    const [suspects, work] = [new Suspects(), new FakeWork()]
    const first = suspects.take(jobOf('a', 1), signal, work.of('a'))
    const second = suspects.take(jobOf('b', 1), signal, work.of('b'))
    await settled()
    work.fail('a')
    await expect(first).rejects.toThrow('a')
    await settled()
    work.end('b')
    await expect(second).resolves.toBeUndefined()
  })
})
