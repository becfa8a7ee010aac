import type { Failure } from '@stored/core'
import fc from 'fast-check'
import { beforeEach, describe, expect, test } from 'vitest'
import { Breaker, type Permit } from './breaker.ts'
import type { Verdict } from './policy.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const MAX_WAIT_MS = 5 * MINUTE
const ERROR: Failure = { code: 'UNAVAILABLE', message: 'no' }
const DENIED: Failure = { code: 'UNAUTHENTICATED', message: 'who?' }

let now: number
let chance: number
let breaker: Breaker

beforeEach(() => {
  now = 5000
  chance = 0
  breaker = new Breaker({ now: () => now, random: () => chance })
})

/** Tries one job after the other, with these verdicts. */
function tries(...verdicts: Verdict[]): void {
  for (const verdict of verdicts) breaker.report(breaker.permit(), verdict, ERROR)
}

const isOpen = () => breaker.cause !== null

/** Opens it with one verdict. */
function open(): void {
  breaker.report(breaker.permit(), 'unusable', DENIED)
}

/** Waits until it lets a probe through, and takes it. */
function probe(): Permit {
  now += breaker.waitMs
  expect(breaker.room).toBe(1)
  return breaker.permit()
}

describe('a breaker', () => {
  test('that is closed lets any number of jobs through, none of them a probe', () => {
    expect(breaker.cause).toBeNull()
    expect(breaker.room).toBe(Number.POSITIVE_INFINITY)
    expect(breaker.waitMs).toBe(0)
    for (let i = 0; i < 100; i++) expect(breaker.permit().isProbe).toBe(false)
  })

  test('opens with five failures in a row, and not with four', () => {
    tries('failed', 'failed', 'failed', 'failed', 'answered', 'failed', 'failed', 'failed', 'failed')
    expect(isOpen()).toBe(false)
    tries('failed')
    expect(breaker.cause).toEqual(ERROR)
    expect(breaker.room).toBe(0)
  })

  test('opens when half of the last twenty failed, and not before there were twenty', () => {
    const inTurn: Verdict[] = Array.from({ length: 19 }, (_, i) => (i % 2 === 0 ? 'failed' : 'answered'))
    tries(...inTurn)
    expect(isOpen()).toBe(false)
    tries('answered')
    // Ten of twenty, but it is failures that open it.
    expect(isOpen()).toBe(false)
    tries('answered', 'failed')
    expect(isOpen()).toBe(true)
  })

  test('stays closed when fewer than half of the last twenty failed, for however long', () => {
    for (let i = 0; i < 100; i++) tries('failed', 'answered', 'answered')
    expect(isOpen()).toBe(false)
  })

  test('opens at once if nothing can succeed until somebody changes something', () => {
    open()
    expect(breaker.cause).toEqual(DENIED)
    expect(breaker.room).toBe(0)
  })

  test.for([1, 30_000, 30 * MINUTE])('opens at once if the backend asks for a pause of %i ms, and grants it', (ms) => {
    breaker.report(breaker.permit(), 'failed', ERROR, ms)
    expect(isOpen()).toBe(true)
    expect(breaker.waitMs).toBe(Math.max(500, ms))
  })

  test('grants no backend more than an hour of pause, whatever it asks for', () => {
    breaker.report(breaker.permit(), 'failed', ERROR, 365 * 24 * HOUR)
    expect(breaker.waitMs).toBe(HOUR)
  })

  test('does not count tries that say nothing about the backend', () => {
    tries('failed', 'nothing', 'failed', 'nothing', 'failed', 'nothing', 'failed')
    expect(isOpen()).toBe(false)
    tries('nothing')
    expect(isOpen()).toBe(false)
    tries('failed')
    expect(isOpen()).toBe(true)
  })

  test.for([
    [0, 500],
    [0.5, 750],
    [1 - Number.EPSILON, 1000],
  ])('waits between half a second and one before the first probe (by chance %f: %f ms)', ([share = 0, wait]) => {
    chance = share
    open()
    expect(breaker.waitMs).toBeCloseTo(wait as number, 3)
  })

  test('waits twice as long after each probe that fails, up to five minutes', () => {
    chance = 1 - Number.EPSILON
    open()
    for (const seconds of [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]) {
      expect(breaker.waitMs).toBeCloseTo(seconds * 1000, 3)
      breaker.report(probe(), 'failed', ERROR)
    }
  })

  test('without an injected random source waits differently each time', () => {
    const waits = Array.from({ length: 50 }, () => {
      const other = new Breaker({ now: () => now })
      other.report(other.permit(), 'unusable', DENIED)
      return other.waitMs
    })
    for (const wait of waits) expect(wait >= 500 && wait <= 1000).toBe(true)
    expect(new Set(waits).size).toBeGreaterThan(1)
  })

  test('lets one probe through when the wait is over, and none beside it', () => {
    open()
    now += breaker.waitMs - 1
    expect([breaker.room, breaker.waitMs]).toEqual([0, 1])
    now += 1
    expect([breaker.room, breaker.waitMs]).toEqual([1, 0])
    expect(breaker.permit().isProbe).toBe(true)
    expect([breaker.room, breaker.waitMs]).toEqual([0, Number.POSITIVE_INFINITY])
    now += 24 * HOUR
    expect(breaker.room).toBe(0)
  })

  test('closes with the first good probe, and forgets what was before', () => {
    open()
    breaker.report(probe(), 'answered')
    expect([breaker.cause, breaker.room, breaker.waitMs]).toEqual([null, Number.POSITIVE_INFINITY, 0])
    tries('failed', 'failed', 'failed', 'failed')
    expect(isOpen()).toBe(false)
    tries('failed')
    expect(breaker.waitMs).toBe(500)
  })

  test('reports the latest cause', () => {
    open()
    breaker.report(probe(), 'failed', ERROR)
    expect(breaker.cause).toEqual(ERROR)
  })

  test('whose probe says nothing lets another one through at once', () => {
    open()
    breaker.report(probe(), 'nothing')
    expect([breaker.room, breaker.waitMs]).toEqual([1, 0])
    expect(breaker.permit().isProbe).toBe(true)
  })

  test.for<Verdict>(['answered', 'failed', 'unusable', 'nothing'])(
    'that has opened ignores that an earlier try %s',
    (verdict) => {
      const before = breaker.permit()
      open()
      const { waitMs } = breaker
      breaker.report(before, verdict, ERROR, 60_000)
      expect([breaker.cause, breaker.waitMs, breaker.room]).toEqual([DENIED, waitMs, 0])
      const running = probe()
      breaker.report(before, verdict, ERROR, 60_000)
      expect([breaker.cause, breaker.room]).toEqual([DENIED, 0])
      breaker.report(running, 'answered')
      for (let i = 0; i < 20; i++) breaker.report(before, verdict, ERROR, 60_000)
      expect(isOpen()).toBe(false)
    },
  )

  test('does not count the same try twice as a probe', () => {
    open()
    const first = probe()
    breaker.report(first, 'failed', ERROR)
    breaker.report(first, 'answered')
    expect(isOpen()).toBe(true)
  })
})

describe('a job that has not failed yet', () => {
  const fresh = { isFresh: true }
  const openByFailures = () => tries('failed', 'failed', 'failed', 'failed', 'failed')

  test('is let through at once when failures in a row open it: they may have a trouble of their own', () => {
    openByFailures()
    expect([breaker.room, breaker.freshRoom, breaker.freshWaitMs]).toEqual([0, 1, 0])
    const probe = breaker.permit(fresh)
    expect(probe.isProbe).toBe(true)
    expect([breaker.room, breaker.freshRoom, breaker.freshWaitMs]).toEqual([0, 0, Number.POSITIVE_INFINITY])
    breaker.report(probe, 'answered')
    expect(isOpen()).toBe(false)
  })

  test('is followed by the next one after a wait that doubles with each that fails, up to five minutes', () => {
    chance = 1 - Number.EPSILON
    openByFailures()
    for (const seconds of [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]) {
      expect(breaker.freshWaitMs).toBeCloseTo(seconds * 1000, 3)
      now += breaker.freshWaitMs
      breaker.report(breaker.permit(fresh), 'failed', ERROR)
    }
  })

  test('does not wait for those that failed before, however long they have', () => {
    openByFailures()
    for (let i = 0; i < 20; i++) breaker.report(probe(), 'failed', ERROR)
    expect(breaker.waitMs).toBeGreaterThan(MINUTE)
    expect([breaker.freshRoom, breaker.freshWaitMs]).toEqual([1, 0])
  })

  test.for(['unusable', 'asked'] as const)('waits like all others if the backend itself spoke (%s)', (how) => {
    breaker.report(breaker.permit(), how === 'asked' ? 'failed' : how, ERROR, how === 'asked' ? MINUTE : 0)
    expect(breaker.freshRoom).toBe(0)
    expect(breaker.freshWaitMs).toBe(breaker.waitMs)
  })
})

describe('a failure that nobody knows the meaning of', () => {
  test('opens nothing, however often', () => {
    for (let i = 0; i < 100; i++) tries('unclear')
    expect(isOpen()).toBe(false)
  })

  test('of a probe neither closes it nor becomes its cause', () => {
    open()
    breaker.report(probe(), 'unclear', { code: 'INTERNAL', message: 'what?' })
    expect([breaker.cause, breaker.room]).toEqual([DENIED, 0])
  })
})

describe('doubt()', () => {
  test('lets one probe through first, and reports no cause before that has failed', () => {
    breaker.doubt()
    expect([breaker.room, breaker.waitMs, breaker.cause]).toEqual([1, 0, null])
    const probe = breaker.permit()
    expect([probe.isProbe, breaker.room]).toEqual([true, 0])
    breaker.report(probe, 'failed', ERROR)
    expect([breaker.room, breaker.cause]).toEqual([0, ERROR])
  })

  test('is over with a good probe', () => {
    breaker.doubt()
    breaker.report(breaker.permit(), 'answered')
    expect(breaker.room).toBe(Number.POSITIVE_INFINITY)
  })
})

describe('retry()', () => {
  test('lets a probe through at once, and starts again with short waits', () => {
    open()
    for (let i = 0; i < 10; i++) breaker.report(probe(), 'failed', ERROR)
    expect(breaker.waitMs).toBe(MAX_WAIT_MS / 2)
    breaker.retry()
    expect([breaker.room, breaker.waitMs]).toEqual([1, 0])
    expect(breaker.cause).toEqual(ERROR)
    breaker.report(breaker.permit(), 'failed', ERROR)
    expect(breaker.waitMs).toBe(500)
  })

  test('while a probe is in progress lets none beside it', () => {
    open()
    const running = probe()
    breaker.retry()
    expect(breaker.room).toBe(0)
    breaker.report(running, 'answered')
    expect(isOpen()).toBe(false)
  })

  test('of a closed one changes nothing', () => {
    tries('failed', 'failed', 'failed', 'failed')
    breaker.retry()
    tries('failed')
    expect(isOpen()).toBe(true)
  })
})

/** The same rules, by what can be counted from outside. */
class Rules {
  /** Since it last closed, the latest last; and how often it has opened since then, or since `retry`. */
  outcomes: boolean[] = []
  opened = 0
  isOpen = false
  /** Tries whose verdict still counts. */
  valid = new Set<Permit>()
  probing: Permit | null = null
  least = 0
  most = 0

  begin(permit: Permit, now: number): void {
    expect(permit.isProbe).toBe(this.isOpen)
    this.valid.add(permit)
    if (!this.isOpen) return
    expect(this.probing).toBeNull()
    expect(now).toBeGreaterThanOrEqual(this.least)
    this.probing = permit
  }

  end(permit: Permit, verdict: Verdict, retryAfterMs: number, now: number): void {
    if (!this.valid.delete(permit)) return
    const isProbe = permit === this.probing
    if (isProbe) this.probing = null
    if (verdict === 'nothing' || (verdict === 'unclear' && !isProbe)) return
    if (verdict === 'answered' && isProbe) {
      this.#turn(false)
      return
    }
    this.outcomes.push(verdict === 'answered')
    if (verdict !== 'answered' && (isProbe || verdict === 'unusable' || retryAfterMs > 0 || this.#isTooMuch()))
      this.#openUntil(now, retryAfterMs)
  }

  retry(now: number): void {
    if (!this.isOpen) return
    this.opened = 0
    this.least = this.most = now
  }

  #isTooMuch(): boolean {
    const last = this.outcomes.slice(-20)
    const bad = last.filter((good) => !good).length
    return last.slice(-5).filter((good) => !good).length === 5 || (last.length === 20 && bad >= 10)
  }

  #openUntil(now: number, retryAfterMs: number): void {
    const whole = Math.min(MAX_WAIT_MS, 1000 * 2 ** this.opened)
    this.opened++
    this.#turn(true)
    this.least = now + Math.max(whole / 2, retryAfterMs)
    this.most = now + Math.max(whole, retryAfterMs)
  }

  #turn(isOpen: boolean): void {
    this.isOpen = isOpen
    this.valid.clear()
    if (isOpen) return
    this.outcomes = []
    this.opened = 0
  }
}

type Step =
  | { readonly do: 'begin' | 'retry' }
  | { readonly do: 'pass'; readonly ms: number }
  | { readonly do: 'end'; readonly which: number; readonly verdict: Verdict; readonly retryAfterMs: number }

const verdict = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom<Verdict>('failed') },
  { weight: 6, arbitrary: fc.constantFrom<Verdict>('answered') },
  { weight: 1, arbitrary: fc.constantFrom<Verdict>('unusable', 'unclear', 'nothing') },
)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.constant<Step>({ do: 'begin' }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('end' as const),
      which: fc.nat(3),
      verdict,
      retryAfterMs: fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(HOUR) }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(1, 400, 5000, MINUTE, 10 * MINUTE) }),
  },
  { weight: 1, arbitrary: fc.constant<Step>({ do: 'retry' }) },
)

function follow(steps: readonly Step[], shares: readonly number[]): void {
  let time = 0
  let drawn = 0
  const tested = new Breaker({ now: () => time, random: () => shares[drawn++ % shares.length] as number })
  const rules = new Rules()
  const running: Permit[] = []
  for (const one of steps) {
    if (one.do === 'begin' && tested.room > 0) {
      const permit = tested.permit()
      rules.begin(permit, time)
      running.push(permit)
    }
    if (one.do === 'end' && running.length > 0) {
      const [permit] = running.splice(one.which % running.length, 1) as [Permit]
      const retryAfterMs = one.verdict === 'failed' ? one.retryAfterMs : 0
      tested.report(permit, one.verdict, ERROR, retryAfterMs)
      rules.end(permit, one.verdict, retryAfterMs, time)
    }
    if (one.do === 'pass') time += one.ms
    if (one.do === 'retry') {
      tested.retry()
      rules.retry(time)
    }
    compare(tested, rules, time)
  }
}

function compare(tested: Breaker, rules: Rules, time: number): void {
  const { cause, room, waitMs } = tested
  expect(cause).toEqual(rules.isOpen ? ERROR : null)
  if (!rules.isOpen) expect([room, waitMs]).toEqual([Number.POSITIVE_INFINITY, 0])
  else if (rules.probing) expect([room, waitMs]).toEqual([0, Number.POSITIVE_INFINITY])
  else {
    expect(room).toBe(waitMs === 0 ? 1 : 0)
    expect(waitMs).toBeGreaterThanOrEqual(Math.max(0, rules.least - time))
    expect(waitMs).toBeLessThanOrEqual(Math.max(0, rules.most - time))
  }
}

describe('whatever happens to it', () => {
  test('opens and closes by its rules; open, it lets one probe at a time through, and one in each wait', () => {
    const share = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
    const shares = fc.array(share, { minLength: 1, maxLength: 5 })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 150, size: 'max' }), shares, (steps, chances) => follow(steps, chances)),
      { numRuns: 500 },
    )
  })

  test('an hour of outage costs few probes', () => {
    open()
    let probes = 0
    for (const end = now + HOUR; now + breaker.waitMs < end; probes++) breaker.report(probe(), 'failed', ERROR)
    expect(probes).toBeLessThanOrEqual(40)
    expect(probes).toBeGreaterThanOrEqual(HOUR / MAX_WAIT_MS)
  })
})
