import type { Claimed, Failure, Job, Queue, SyncTarget } from '@stored/core'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { Breaker } from './breaker.ts'
import { Lane, type Try } from './lane.ts'
import type { Verdict } from './policy.ts'

const ERROR: Failure = { code: 'UNAVAILABLE', message: 'no' }
const HOUR = 60 * 60 * 1000

/** A fake queue of one backend: its contents are set by the test, and its calls are recorded. */
class FakeQueue {
  readonly claims: { max: number; got: number }[] = []
  /** The errors of the last tries of jobs. */
  readonly errors = new Map<string, Failure>()
  /** Whether a returned job waits again. */
  takesBack = false
  chosen = 0
  readonly renewed: string[] = []
  readonly sizes = new Map<string, number>()
  recovered = 0
  waiting: string[] = []
  due: number | null = null
  paused = false
  /** The error recorded by the oldest waiting job. */
  noted: Failure | undefined
  onClaim: () => Promise<void> = async () => {}
  /** Called once the jobs are taken. */
  onClaimed: () => Promise<void> = async () => {}
  onNextDue: () => Promise<void> = async () => {}
  onRenew: () => Promise<void> = async () => {}

  claim = async (max: number, { key }: { key?: string }): Promise<Claimed[]> => {
    await this.onClaim()
    const at = key === undefined ? 0 : this.waiting.indexOf(key)
    const keys = this.waiting.splice(at, key === undefined ? max : 1)
    this.claims.push({ max, got: keys.length })
    await this.onClaimed()
    return keys.map((key) => ({ ...this.#job(key), lease: key }))
  }

  async choose(_: string, { nearness }: { nearness: (job: Job) => number }): Promise<string | null> {
    this.chosen++
    const found = this.waiting.map((key) => ({ key, nearness: nearness(this.#job(key)) }))
    const [best] = found
      .filter((one) => one.nearness < Number.POSITIVE_INFINITY)
      .sort((a, b) => a.nearness - b.nearness)
    return best?.key ?? null
  }

  #job(key: string): Claimed {
    const error = this.errors.get(key)
    return { backend: 'x', key, size: this.sizes.get(key) ?? 1, ...(error && { error }) } as Claimed
  }

  async nextDue(): Promise<number | null> {
    const due = this.waiting.length > 0 ? Date.now() : this.due
    await this.onNextDue()
    return due
  }

  async renew({ key }: Claimed): Promise<void> {
    this.renewed.push(key)
    await this.onRenew()
  }

  async recover(): Promise<number> {
    this.recovered++
    return 0
  }

  async isPaused(): Promise<boolean> {
    return this.paused
  }

  async *jobs(): AsyncIterable<readonly Job[]> {
    yield [{ backend: 'x', key: 'oldest', ...(this.noted && { error: this.noted }) } as Job]
  }
}

/** Jobs that run until they are told to end. */
class FakeRunner {
  readonly started: string[] = []
  readonly probes: string[] = []
  readonly aborted: string[] = []
  readonly open = new Map<string, () => void>()
  readonly #tries = new Map<string, Try>()
  readonly #sizes = new Map<string, number>()
  most = 0
  mostBytes = 0

  run = ({ key, size }: Claimed, attempt: Try): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const { signal, isProbe } = attempt
    const abort = () => {
      this.aborted.push(key)
      this.end(key)
    }
    this.open.set(key, resolve)
    this.#tries.set(key, attempt)
    if (signal.aborted) {
      if (queue.takesBack) queue.waiting.push(key)
      abort()
      return promise
    }
    this.started.push(key)
    if (isProbe) this.probes.push(key)
    this.#sizes.set(key, size)
    this.most = Math.max(this.most, this.#sizes.size)
    this.mostBytes = Math.max(
      this.mostBytes,
      [...this.#sizes.values()].reduce((sum, one) => sum + one, 0),
    )
    signal.addEventListener('abort', abort)
    return promise
  }

  /** The backend is done with it; the job waits for its commit. */
  move(key: string, verdict: Verdict = 'answered', retryAfterMs?: number): void {
    this.#sizes.delete(key)
    this.#tries.get(key)?.moved(verdict, verdict === 'answered' ? undefined : ERROR, retryAfterMs)
  }

  end(key: string, verdict?: Verdict, retryAfterMs?: number): void {
    this.#sizes.delete(key)
    if (verdict) this.move(key, verdict, retryAfterMs)
    this.open.get(key)?.()
    this.open.delete(key)
  }

  endAll(verdict: Verdict): void {
    for (const key of [...this.open.keys()]) this.end(key, verdict)
  }
}

let queue: FakeQueue
let runner: FakeRunner
let errors: unknown[]
const lanes: Lane[] = []

beforeEach(() => {
  vi.useFakeTimers()
  queue = new FakeQueue()
  runner = new FakeRunner()
  errors = []
})

afterEach(async () => {
  await Promise.all(
    lanes
      .splice(0)
      .map((lane) => lane.stop(0))
      .concat(settle()),
  )
  vi.useRealTimers()
})

/** A lane whose breaker uses the shortest waits. */
function start(concurrency: number, bytesInFlight = Number.MAX_SAFE_INTEGER): Lane {
  const options = {
    queue: queue as unknown as Queue,
    target: { backend: { name: 'x' }, concurrency, bytesInFlight } as SyncTarget,
    claim: queue.claim,
    run: runner.run,
    onVerdict: () => {},
    onError: (error: unknown) => void errors.push(error),
  }
  const lane = new Lane(options, new Breaker({ random: () => 0 }))
  lanes.push(lane)
  return lane
}

/** Lets everything happen that does not need the clock, and what is due at once. */
const settle = async () => {
  await vi.advanceTimersByTimeAsync(1)
}
const names = (count: number) => Array.from({ length: count }, (_, i) => `k${i}`)

describe('Lane', () => {
  test('runs what is waiting when it is made, as many at a time as allowed', async () => {
    queue.waiting = names(9)
    start(3)
    await settle()
    expect(runner.started).toEqual(['k0', 'k1', 'k2'])
    for (const key of names(9)) {
      runner.end(key)
      await settle()
    }
    expect(runner.started).toEqual(names(9))
    expect(runner.most).toBe(3)
  })

  test('holds no more than twice its concurrency, and claims no fewer than its concurrency', async () => {
    queue.waiting = names(100)
    start(4)
    let held = 0
    for (let ended = 0; ended < 100; ended++) {
      await settle()
      held = Math.max(held, 100 - queue.waiting.length - ended)
      runner.end(`k${ended}`)
    }
    await settle()
    expect(held).toBe(8)
    for (const { max } of queue.claims) expect(max).toBeGreaterThanOrEqual(4)
    expect(runner.started).toHaveLength(100)
  })

  test('where the oldest job notes an outage begins with one probe, and with all once it succeeds', async () => {
    queue.noted = ERROR
    queue.waiting = names(9)
    const lane = start(3)
    await settle()
    expect(runner.started).toEqual(['k0'])
    expect(runner.probes).toEqual(['k0'])
    expect(lane.breaker.cause).toBeNull()
    runner.end('k0', 'answered')
    await settle()
    expect(runner.started).toEqual(['k0', 'k1', 'k2', 'k3'])
    expect(runner.probes).toEqual(['k0'])
  })

  test.for(['CONFLICT', 'TOO_LARGE', 'CLOSED'] as const)(
    'where the oldest job notes %s begins with all',
    async (code) => {
      queue.noted = { code, message: 'says nothing about the backend' }
      queue.waiting = names(9)
      start(3)
      await settle()
      expect(runner.started).toEqual(names(3))
      expect(runner.probes).toEqual([])
    },
  )

  test('with nothing due sets no timer', async () => {
    start(2)
    await vi.runAllTimersAsync()
    expect(vi.getTimerCount()).toBe(0)
    expect(queue.claims).toHaveLength(1)
  })

  test('with something due later looks again then, and not before', async () => {
    queue.due = Date.now() + 5000
    start(2)
    await vi.advanceTimersByTimeAsync(4999)
    expect(queue.claims).toHaveLength(1)
    queue.waiting = ['k']
    queue.due = null
    await vi.advanceTimersByTimeAsync(2)
    expect(runner.started).toEqual(['k'])
  })

  test('with something due in a month waits as long as a timer can, and not 1 ms', async () => {
    queue.due = Date.now() + 31 * 24 * 3600 * 1000
    start(2)
    await vi.advanceTimersByTimeAsync(60_000)
    expect(queue.claims).toHaveLength(1)
    expect(vi.getTimerCount()).toBe(1)
  })

  test('with no room sets no timer for what is due: the end of a job wakes it', async () => {
    queue.waiting = names(6)
    start(2)
    await vi.advanceTimersByTimeAsync(10)
    const before = queue.claims.length
    await vi.advanceTimersByTimeAsync(1000)
    expect(queue.claims).toHaveLength(before)
    runner.end('k0')
    runner.end('k1')
    await settle()
    expect(queue.claims.length).toBeGreaterThan(before)
  })

  test('any number of wake() during one look lead to one more', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    queue.onClaim = () => promise
    const lane = start(2)
    for (let i = 0; i < 10; i++) lane.wake()
    resolve()
    await settle()
    expect(queue.claims).toHaveLength(2)
  })

  test('wake() while it asks for the next due time is not lost', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    queue.onNextDue = () => promise
    const lane = start(2)
    await settle()
    queue.waiting = ['k']
    lane.wake()
    resolve()
    await settle()
    expect(runner.started).toEqual(['k'])
  })

  test('reports a failing queue, and asks it again after a second', async () => {
    const error = new Error('the ledger')
    queue.onClaim = () => Promise.reject(error)
    start(2)
    await settle()
    expect(errors).toEqual([error])
    queue.onClaim = async () => {}
    queue.waiting = ['k']
    await vi.advanceTimersByTimeAsync(1000)
    expect(runner.started).toEqual(['k'])
  })

  test('renews the leases of running jobs three times per lease, until they end', async () => {
    queue.waiting = ['k']
    start(2)
    await vi.advanceTimersByTimeAsync(60_001)
    expect(queue.renewed).toEqual(['k', 'k', 'k'])
    runner.end('k')
    await vi.advanceTimersByTimeAsync(60_000)
    expect(queue.renewed).toHaveLength(3)
    expect(vi.getTimerCount()).toBe(0)
  })

  test('aborts a job whose lease is lost, and no other', async () => {
    queue.waiting = ['lost']
    start(2)
    await settle()
    queue.onRenew = () => Promise.reject(new Error('lost'))
    await vi.advanceTimersByTimeAsync(20_000)
    expect(runner.aborted).toEqual(['lost'])
  })

  test('whose jobs all wait for their commit holds four for each it may run; each commit makes room', async () => {
    queue.waiting = names(10)
    start(1)
    for (const key of names(4)) {
      await settle()
      runner.move(key)
    }
    await vi.advanceTimersByTimeAsync(1000)
    expect(runner.started).toEqual(names(4))
    runner.end('k2')
    await settle()
    expect(runner.started).toEqual(names(5))
  })

  test('puts back claims whose outcome is unknown once their lease has ended, even if the clock was set back', async () => {
    queue.onClaimed = () => Promise.reject(new Error('the ledger'))
    queue.waiting = ['k']
    start(2)
    await settle()
    queue.onClaimed = async () => {}
    vi.setSystemTime(Date.now() - 365 * 24 * HOUR)
    await vi.advanceTimersByTimeAsync(59_000)
    expect(queue.recovered).toBe(0)
    await vi.advanceTimersByTimeAsync(2000)
    expect(queue.recovered).toBe(1)
    await vi.advanceTimersByTimeAsync(HOUR)
    expect(queue.recovered).toBe(1)
    expect(vi.getTimerCount()).toBe(0)
  })

  test('that is paused gives back what was claimed ahead, and lets running jobs finish', async () => {
    queue.waiting = names(4)
    const lane = start(2)
    await settle()
    queue.paused = true
    lane.wake()
    await settle()
    expect(runner.aborted).toEqual(['k2', 'k3'])
    runner.endAll('answered')
    await settle()
    expect(runner.started).toEqual(['k0', 'k1'])
  })
})

describe('bytesInFlight', () => {
  test('bounds what is under way together', async () => {
    queue.waiting = names(12)
    for (const key of names(12)) queue.sizes.set(key, 40)
    start(10, 100)
    await settle()
    expect(runner.started).toEqual(['k0', 'k1'])
    for (const key of names(12)) {
      runner.end(key)
      await settle()
    }
    expect(runner.started).toEqual(names(12))
    expect(runner.mostBytes).toBe(80)
  })

  test('is met exactly by jobs that fit exactly', async () => {
    queue.waiting = names(3)
    for (const key of names(3)) queue.sizes.set(key, 50)
    start(10, 100)
    await settle()
    expect(runner.started).toEqual(['k0', 'k1'])
  })

  test('lets a larger one run alone, in its turn', async () => {
    queue.waiting = ['before', 'large', 'after']
    queue.sizes.set('large', 1000)
    start(10, 100)
    await settle()
    expect(runner.started).toEqual(['before'])
    runner.end('before')
    await settle()
    expect(runner.started).toEqual(['before', 'large'])
    runner.end('large')
    await settle()
    expect(runner.started).toEqual(['before', 'large', 'after'])
    expect(runner.mostBytes).toBe(1000)
  })

  test('counts jobs without bytes to move as zero', async () => {
    queue.waiting = ['full', 'a', 'b']
    queue.sizes.set('full', 100).set('a', 0).set('b', 0)
    start(10, 100)
    await settle()
    expect(runner.started).toEqual(['full', 'a', 'b'])
  })

  test('is free again as soon as the backend is done with a job', async () => {
    queue.waiting = ['a', 'b']
    queue.sizes.set('a', 100).set('b', 100)
    start(10, 100)
    await settle()
    runner.move('a')
    await settle()
    expect(runner.started).toEqual(['a', 'b'])
  })
})

describe('a backend that fails', () => {
  /** Makes the first five of `count` jobs fail, and the first of them report that the backend is unusable. */
  async function fail(count: number): Promise<Lane> {
    queue.waiting = names(count)
    const lane = start(5)
    await settle()
    runner.end('k0', 'unusable')
    runner.endAll('failed')
    await settle()
    return lane
  }

  test('has what was claimed ahead given back, and nothing more claimed', async () => {
    await fail(20)
    expect(runner.started).toEqual(names(5))
    expect(runner.aborted).toEqual(['k5', 'k6', 'k7', 'k8', 'k9'])
    const claims = queue.claims.length
    await vi.advanceTimersByTimeAsync(490)
    expect(queue.claims).toHaveLength(claims)
    expect(runner.started).toHaveLength(5)
  })

  test('has what a pending claim returns given back too, and sets no timers', async () => {
    queue.waiting = names(5)
    start(5)
    await settle()
    const { promise, resolve } = Promise.withResolvers<void>()
    queue.onClaimed = () => promise
    queue.waiting = ['late', 'later']
    runner.end('k0', 'failed')
    await settle()
    for (const key of names(5)) runner.end(key, 'failed')
    queue.onClaimed = async () => {}
    resolve()
    await settle()
    expect(runner.aborted).toEqual(['late', 'later'])
    const claims = queue.claims.length
    await vi.advanceTimersByTimeAsync(HOUR)
    expect(queue.claims.length - claims).toBeLessThanOrEqual(2)
  })

  test('is tried at once by retry()', async () => {
    const lane = await fail(20)
    lane.retry()
    await settle()
    expect(runner.probes).toEqual(['k10'])
  })

  test('is asked by one probe at a time, when its wait is over', async () => {
    await fail(20)
    await vi.advanceTimersByTimeAsync(510)
    expect(runner.probes).toEqual(['k10'])
    expect(queue.claims.at(-1)).toEqual({ max: 1, got: 1 })
    await vi.advanceTimersByTimeAsync(HOUR)
    expect(runner.started).toHaveLength(6)
    runner.end('k10', 'failed')
    await vi.advanceTimersByTimeAsync(990)
    expect(runner.probes).toEqual(['k10'])
    await vi.advanceTimersByTimeAsync(20)
    expect(runner.probes).toEqual(['k10', 'k11'])
  })

  test('is back at full speed after the first good probe', async () => {
    await fail(20)
    await vi.advanceTimersByTimeAsync(510)
    runner.end('k10', 'answered')
    await settle()
    expect(runner.started.slice(5)).toEqual(['k10', 'k11', 'k12', 'k13', 'k14', 'k15'])
    expect(runner.probes).toEqual(['k10'])
    expect(runner.open.size).toBe(5)
  })

  test('whose probe ends without a verdict gets another one at once', async () => {
    await fail(20)
    await vi.advanceTimersByTimeAsync(510)
    runner.end('k10')
    await settle()
    expect(runner.probes).toEqual(['k10', 'k11'])
  })

  test('is left alone for as long as it asks', async () => {
    queue.waiting = names(3)
    start(1)
    await settle()
    runner.end('k0', 'failed', 120_000)
    await vi.advanceTimersByTimeAsync(119_990)
    expect(runner.started).toEqual(['k0'])
    await vi.advanceTimersByTimeAsync(20)
    expect(runner.probes).toEqual(['k2'])
  })

  test('is not tried before something is due, and not again while nothing is', async () => {
    await fail(5)
    queue.due = Date.now() + 10_000
    lanes[0]?.wake()
    await vi.advanceTimersByTimeAsync(9990)
    expect(queue.claims.at(-1)).not.toEqual({ max: 1, got: 0 })
    queue.due = null
    queue.waiting = ['k']
    await vi.advanceTimersByTimeAsync(20)
    expect(runner.probes).toEqual(['k'])
  })

  test('with nothing waiting sets no timer', async () => {
    await fail(5)
    await vi.advanceTimersByTimeAsync(510)
    expect(vi.getTimerCount()).toBe(0)
  })

  test('is tried at once after retry() and wake()', async () => {
    const lane = await fail(20)
    lane.breaker.retry()
    lane.wake()
    await settle()
    expect(runner.probes).toEqual(['k10'])
  })

  test('for an hour, with ten thousand jobs, is tried sixty times at most', async () => {
    queue.waiting = names(10_000)
    start(16)
    const end = Date.now() + HOUR
    while (Date.now() < end) {
      await vi.advanceTimersByTimeAsync(100)
      runner.endAll('failed')
    }
    expect(runner.started.length).toBeLessThanOrEqual(60)
    expect(runner.started.length).toBeGreaterThan(20)
  })
})

describe('a backend where a few jobs fail', () => {
  const bad = Array.from({ length: 8 }, (_, i) => `closed/${i}`)

  beforeEach(() => {
    queue.takesBack = true
  })

  /** Makes those jobs fail; each goes back to waiting with its error. */
  async function failBad(): Promise<void> {
    for (const key of bad)
      if (runner.open.has(key)) {
        queue.errors.set(key, ERROR)
        runner.end(key, 'failed')
        queue.waiting.unshift(key)
      }
    await settle()
  }

  test('has one of another directory tried at once, and all others do when that is done', async () => {
    queue.waiting = [...bad, ...names(20)]
    start(8)
    await settle()
    await failBad()
    expect(runner.probes).toHaveLength(1)
    expect(names(20)).toContain(runner.probes[0])
    runner.end(runner.probes[0] as string, 'answered')
    await settle()
    for (let tries = 0; tries < 20; tries++) {
      await failBad()
      for (const key of names(20)) runner.end(key, 'answered')
      await settle()
    }
    expect(runner.started).toEqual(expect.arrayContaining(names(20)))
  })

  test('has a newly put job tried at once if only failed ones are waiting, however long they have failed', async () => {
    queue.waiting = [...bad]
    const lane = start(8)
    const end = Date.now() + HOUR
    while (Date.now() < end) {
      await failBad()
      await vi.advanceTimersByTimeAsync(10_000)
    }
    runner.endAll('failed')
    await settle()
    expect(lane.breaker.cause).toEqual(ERROR)
    queue.waiting.push('other/k')
    lane.wake()
    await settle()
    expect(runner.probes.at(-1)).toBe('other/k')
  })

  test('is asked by the job that lies farthest from those that failed', async () => {
    queue.waiting = ['a/b/1', 'a/b/2', 'a/b/3', 'a/b/4', 'a/b/5']
    start(5)
    await settle()
    queue.waiting = ['a/b/6', 'a/c/1', 'd/1']
    runner.endAll('failed')
    await settle()
    expect(runner.probes).toEqual(['d/1'])
  })

  test('is not searched again and again for a job that has not failed', async () => {
    queue.waiting = [...bad]
    start(8)
    await settle()
    await failBad()
    await vi.advanceTimersByTimeAsync(HOUR)
    expect(runner.started.length).toBeLessThanOrEqual(10)
    expect(queue.chosen).toBeLessThanOrEqual(10)
  })
})

describe('stop()', () => {
  test('claims nothing more, and resolves when running jobs have ended', async () => {
    queue.waiting = ['k']
    const lane = start(1)
    await settle()
    let stopped = false
    const stopping = lane.stop(5000).then(() => {
      stopped = true
    })
    queue.waiting = ['more']
    lane.wake()
    await settle()
    expect(stopped).toBe(false)
    runner.end('k')
    await stopping
    expect(runner.started).toEqual(['k'])
    expect(runner.aborted).toEqual([])
    expect(vi.getTimerCount()).toBe(0)
  })

  test('aborts what still runs after its grace period', async () => {
    queue.waiting = ['k']
    const lane = start(1)
    await settle()
    const stopping = lane.stop(5000)
    await vi.advanceTimersByTimeAsync(4999)
    expect(runner.aborted).toEqual([])
    await vi.advanceTimersByTimeAsync(1)
    await stopping
    expect(runner.aborted).toEqual(['k'])
    expect(vi.getTimerCount()).toBe(0)
  })

  test('gives back at once what was claimed ahead and not started', async () => {
    queue.waiting = names(4)
    const lane = start(2)
    await settle()
    const stopping = lane.stop(5000)
    await settle()
    expect(runner.aborted).toEqual(['k2', 'k3'])
    runner.end('k0')
    runner.end('k1')
    await stopping
    expect(runner.aborted).toEqual(['k2', 'k3'])
  })

  test('during a claim gives back what it returns', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    queue.onClaim = () => promise
    queue.waiting = ['k']
    const lane = start(1)
    const stopping = lane.stop(5000)
    resolve()
    await settle()
    await stopping
    expect(runner.aborted).toEqual(['k'])
    expect(runner.open.size).toBe(0)
  })

  test('while the backend fails leaves no timer', async () => {
    queue.waiting = names(9)
    const lane = start(5)
    await settle()
    runner.endAll('unusable')
    await settle()
    await lane.stop(5000)
    expect(vi.getTimerCount()).toBe(0)
  })

  test('of an idle lane resolves at once and leaves no timer', async () => {
    queue.due = Date.now() + 1000
    const lane = start(1)
    await settle()
    await lane.stop(5000)
    expect(vi.getTimerCount()).toBe(0)
  })
})
