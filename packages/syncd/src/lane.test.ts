import type { Claimed, Queue, SyncTarget } from '@stored/core'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { Lane } from './lane.ts'

/** A queue of one backend that is told what it holds, and keeps what it was asked. */
class FakeQueue {
  readonly claims: { max: number; got: number }[] = []
  readonly renewed: string[] = []
  waiting: string[] = []
  due: number | null = null
  onClaim: () => Promise<void> = async () => {}
  onNextDue: () => Promise<void> = async () => {}
  onRenew: () => Promise<void> = async () => {}

  async claim(backend: string, { max }: { max: number }): Promise<Claimed[]> {
    await this.onClaim()
    const keys = this.waiting.splice(0, max)
    this.claims.push({ max, got: keys.length })
    return keys.map((key) => ({ backend, key, lease: key }) as Claimed)
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
}

/** Jobs that run until they are told to end. */
class FakeRunner {
  readonly started: string[] = []
  readonly aborted: string[] = []
  readonly open = new Map<string, () => void>()
  most = 0

  run = (job: Claimed, signal: AbortSignal): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const abort = () => {
      this.aborted.push(job.key)
      this.end(job.key)
    }
    this.started.push(job.key)
    this.open.set(job.key, resolve)
    this.most = Math.max(this.most, this.open.size)
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort)
    return promise
  }

  end(key: string): void {
    this.open.get(key)?.()
    this.open.delete(key)
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

function start(concurrency: number): Lane {
  const lane = new Lane({
    queue: queue as unknown as Queue,
    target: { backend: { name: 'x' }, concurrency } as SyncTarget,
    run: runner.run,
    onError: (error) => errors.push(error),
  })
  lanes.push(lane)
  return lane
}

/** Lets all that can happen without the clock happen, and what is due at once. */
const settle = async () => {
  await vi.advanceTimersByTimeAsync(1)
}
const names = (count: number) => Array.from({ length: count }, (_, i) => `k${i}`)

describe('Lane', () => {
  test('runs what waits when it is made, as many at a time as it may', async () => {
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

  test('with room for nothing sets no timer for what is due: the end of a job is what wakes', async () => {
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

  test('a queue that fails is reported, and asked again after a second', async () => {
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

  test('renews the leases of what runs, three times in their time, until it ends', async () => {
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
})

describe('stop()', () => {
  test('claims nothing more, and resolves when what runs has ended', async () => {
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

  test('aborts what still runs after its grace', async () => {
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

  test('gives back at once what was claimed ahead and not begun', async () => {
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

  test('while a claim is under way gives back what it brings', async () => {
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

  test('of an idle lane resolves at once and leaves no timer', async () => {
    queue.due = Date.now() + 1000
    const lane = start(1)
    await settle()
    await lane.stop(5000)
    expect(vi.getTimerCount()).toBe(0)
  })
})
