import { StorageError, type StorageErrorCode } from '@stored/core/backend'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { backoff, decide, MAX_ATTEMPTS } from './policy.ts'

const CAP_MS = 15 * 60 * 1000
const least = () => 0
const most = () => 1 - Number.EPSILON

function failure(code: StorageErrorCode, options: { retryAfterMs?: number } = {}): StorageError {
  return new StorageError(code, { op: 'put', backend: 'x', key: 'k' }, options)
}

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

  test('has full jitter: it may be nothing at all', () => {
    for (const attempts of [1, 5, 25]) expect(backoff(attempts, least)).toBe(0)
  })

  test('is the share of its ceiling that chance says', () => {
    const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), random, (attempts, share) => {
        const ceiling = Math.min(CAP_MS, 1000 * 2 ** (attempts - 1))
        expect(backoff(attempts, () => share)).toBeCloseTo(share * ceiling, 3)
      }),
    )
  })

  test('without a source of chance stays within its bounds', () => {
    const waits = Array.from({ length: 100 }, () => backoff(3))
    for (const wait of waits) expect(wait >= 0 && wait < 4000).toBe(true)
    expect(new Set(waits).size).toBeGreaterThan(1)
  })
})

describe('decide()', () => {
  const permanent: StorageErrorCode[] = [
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
  test.for(permanent)('of %s parks at the first try', (code) => {
    expect(decide(failure(code), 1)).toEqual({ park: true })
  })

  const passing: StorageErrorCode[] = ['TIMEOUT', 'CONFLICT', 'INTERNAL']
  test.for(passing)('of %s tries again, until the attempts are spent', (code) => {
    for (let attempts = 1; attempts < MAX_ATTEMPTS; attempts++)
      expect(decide(failure(code), attempts)).toEqual({ park: false, afterMs: expect.any(Number) })
    expect(decide(failure(code), MAX_ATTEMPTS)).toEqual({ park: true })
    expect(decide(failure(code), MAX_ATTEMPTS + 1)).toEqual({ park: true })
  })

  const ofTheBackend: StorageErrorCode[] = [
    'UNAVAILABLE',
    'RATE_LIMITED',
    'UNAUTHENTICATED',
    'PERMISSION_DENIED',
    'MISCONFIGURED',
    'NO_SPACE',
  ]
  test.for(ofTheBackend)('of %s tries again for as long as it lasts', (code) => {
    for (const attempts of [1, MAX_ATTEMPTS, 10_000])
      expect(decide(failure(code), attempts)).toEqual({ park: false, afterMs: expect.any(Number) })
  })

  test('waits as long as the backend asked for, also beyond its own ceiling', () => {
    expect(decide(failure('RATE_LIMITED', { retryAfterMs: 3_600_000 }), 1, most)).toEqual({
      park: false,
      afterMs: 3_600_000,
    })
  })

  test('waits longer than the backend asked for when it would anyway', () => {
    expect(decide(failure('RATE_LIMITED', { retryAfterMs: 10 }), 2, () => 0.5)).toEqual({ park: false, afterMs: 1000 })
  })
})
