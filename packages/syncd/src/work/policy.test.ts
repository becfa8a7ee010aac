import { StorageError, type StorageErrorCode } from '@stored/core/backend'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MAX_DELAY_MS } from '../queue/limits.ts'
import {
  backoff,
  decide,
  MAX_ATTEMPTS,
  mayGoOn,
  needsSomebody,
  speaksOfOutage,
  type Verdict,
  verdictOn,
} from './policy.ts'

const CAP_MS = 15 * 60 * 1000
const least = () => 0
const most = () => 1 - Number.EPSILON

const PERMANENT: StorageErrorCode[] = [
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PRECONDITION_FAILED',
  'KEY_CONFLICT',
  'INVALID_KEY',
  'INVALID_ARGUMENT',
  'UNSUPPORTED',
  'TOO_LARGE',
  'SIZE_MISMATCH',
  'CHECKSUM_MISMATCH',
  'CORRUPT',
]
const UNUSABLE: StorageErrorCode[] = ['UNAUTHENTICATED', 'MISCONFIGURED']

function failure(code: StorageErrorCode, options: { retryAfterMs?: number } = {}): StorageError {
  return new StorageError(code, { op: 'put', backend: 'x', key: 'k' }, options)
}

describe('mayGoOn()', () => {
  test.for(['UNAVAILABLE', 'TIMEOUT', 'RATE_LIMITED', 'UNAUTHENTICATED', 'NO_SPACE', 'ABORTED'] as const)(
    'after %s: what arrived is as good as before',
    (code) => {
      expect(mayGoOn(failure(code))).toBe(true)
    },
  )

  test.for([...PERMANENT, 'CONFLICT', 'INTERNAL'] as const)('not after %s: it may lie in what arrived', (code) => {
    expect(mayGoOn(failure(code))).toBe(false)
  })
})

describe('backoff()', () => {
  test.for([
    [1, 1000],
    [2, 2000],
    [3, 4000],
    [10, 512_000],
    [11, CAP_MS],
    [25, CAP_MS],
    [5000, CAP_MS],
  ] as const)('after try %i waits at most %i ms', ([attempts, ceiling]) => {
    expect(backoff(attempts, most)).toBeCloseTo(ceiling, 3)
  })

  test('has full jitter: it may be zero', () => {
    for (const attempts of [1, 5, 25]) expect(backoff(attempts, least)).toBe(0)
  })

  test('is the random share of its ceiling', () => {
    const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), random, (attempts, share) => {
        const ceiling = Math.min(CAP_MS, 1000 * 2 ** (attempts - 1))
        expect(backoff(attempts, () => share)).toBeCloseTo(share * ceiling, 3)
      }),
    )
  })

  test('without an injected random source stays within its bounds', () => {
    const waits = Array.from({ length: 100 }, () => backoff(3))
    for (const wait of waits) expect(wait >= 0 && wait < 4000).toBe(true)
    expect(new Set(waits).size).toBeGreaterThan(1)
  })
})

describe('verdictOn()', () => {
  test.for<[Verdict, StorageErrorCode[]]>([
    ['unusable', UNUSABLE],
    ['answered', [...PERMANENT, 'CONFLICT']],
    ['failed', ['TIMEOUT', 'RATE_LIMITED', 'UNAVAILABLE', 'PERMISSION_DENIED', 'NO_SPACE']],
    ['unclear', ['INTERNAL']],
    ['nothing', ['ABORTED', 'CLOSED']],
  ])('is %s for %j of the backend itself', ([verdict, codes]) => {
    for (const code of codes) expect([code, verdictOn('x', failure(code))]).toEqual([code, verdict])
  })

  test('is nothing for errors of another place: the source of the bytes, the store', () => {
    for (const code of [...UNUSABLE, 'TIMEOUT', 'UNAVAILABLE'] as StorageErrorCode[]) {
      expect(verdictOn('y', failure(code))).toBe('nothing')
      expect(verdictOn('y', new StorageError(code, { op: 'put' }))).toBe('nothing')
    }
  })
})

describe('needsSomebody()', () => {
  test('holds for credentials, configuration, permissions and quota, and for no outage', () => {
    for (const code of [...UNUSABLE, 'PERMISSION_DENIED', 'NO_SPACE'] as const) expect(needsSomebody(code)).toBe(true)
    for (const code of ['TIMEOUT', 'UNAVAILABLE', 'RATE_LIMITED', 'INTERNAL'] as const)
      expect(needsSomebody(code)).toBe(false)
  })
})

describe('speaksOfOutage()', () => {
  test('is true of what the next job may well fail with too, and not of unknown errors', () => {
    for (const code of ['TIMEOUT', 'UNAVAILABLE', 'NO_SPACE', ...UNUSABLE] as const)
      expect([code, speaksOfOutage(code)]).toEqual([code, true])
    for (const code of [...PERMANENT, 'CONFLICT', 'INTERNAL', 'ABORTED', 'CLOSED'] as const)
      expect([code, speaksOfOutage(code)]).toEqual([code, false])
  })
})

describe('decide()', () => {
  /** What becomes of the job of the backend that failed with it. */
  const decideOn = (error: StorageError, attempts: number, { isProbe = false, random = most } = {}) =>
    decide(error, { attempts, verdict: verdictOn('x', error), isProbe }, random)

  test.for(PERMANENT)('of %s parks at the first try, even a probe', (code) => {
    for (const isProbe of [false, true]) expect(decideOn(failure(code), 1, { isProbe })).toEqual({ park: true })
  })

  const counted: StorageErrorCode[] = [
    'TIMEOUT',
    'UNAVAILABLE',
    'INTERNAL',
    'CONFLICT',
    'PERMISSION_DENIED',
    'NO_SPACE',
  ]
  test.for(counted)('of %s tries again, until the attempts are used up', (code) => {
    for (let attempts = 1; attempts < MAX_ATTEMPTS; attempts++) {
      const afterMs = backoff(attempts, most)
      expect(decideOn(failure(code), attempts)).toEqual({ park: false, afterMs, free: false })
    }
    expect(decideOn(failure(code), MAX_ATTEMPTS)).toEqual({ park: true })
    expect(decideOn(failure(code), MAX_ATTEMPTS + 1)).toEqual({ park: true })
  })

  test.for([...UNUSABLE, 'RATE_LIMITED'] as StorageErrorCode[])('of %s costs no attempt, however often', (code) => {
    for (const attempts of [1, MAX_ATTEMPTS, 10_000])
      expect(decideOn(failure(code), attempts)).toMatchObject({ park: false, free: true })
  })

  test.for(counted.filter((code) => code !== 'CONFLICT' && code !== 'INTERNAL'))(
    'of %s by a probe costs no attempt: that the backend fails was known',
    (code) => {
      for (const attempts of [1, MAX_ATTEMPTS, 10_000])
        expect(decideOn(failure(code), attempts, { isProbe: true })).toMatchObject({ park: false, free: true })
    },
  )

  test.for(['CONFLICT', 'INTERNAL'] as const)(
    'of %s by a probe counts: that is not why the backend was tried',
    (code) => {
      expect(decideOn(failure(code), 3, { isProbe: true })).toMatchObject({ park: false, free: false })
      expect(decideOn(failure(code), MAX_ATTEMPTS, { isProbe: true })).toEqual({ park: true })
    },
  )

  test('of a source that cannot be read counts, whatever the cause', () => {
    const error = new StorageError('UNAUTHENTICATED', { op: 'get', backend: 'y', key: 'k' })
    expect(decideOn(error, 1)).toMatchObject({ park: false, free: false })
    expect(decideOn(error, MAX_ATTEMPTS)).toEqual({ park: true })
  })

  test('waits as long as the backend asked for, also beyond its own ceiling, but never above an hour', () => {
    const after = (retryAfterMs: number) => decideOn(failure('RATE_LIMITED', { retryAfterMs }), 1)
    expect(after(1_800_000)).toMatchObject({ afterMs: 1_800_000 })
    expect(after(MAX_DELAY_MS)).toMatchObject({ afterMs: MAX_DELAY_MS })
    expect(after(365 * 24 * 3_600_000)).toMatchObject({ afterMs: MAX_DELAY_MS })
  })

  test('waits longer than the backend asked for if it would anyway', () => {
    const error = failure('RATE_LIMITED', { retryAfterMs: 10 })
    expect(decideOn(error, 2, { random: () => 0.5 })).toMatchObject({ park: false, afterMs: 1000 })
  })
})
