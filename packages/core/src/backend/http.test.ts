import { afterEach, expect, test, vi } from 'vitest'
import { mapHttp } from './http.ts'

const AT = { backend: 'bucket', op: 'put', key: 'a' }

afterEach(() => void vi.useRealTimers())

test.each([
  [401, 'UNAUTHENTICATED', false],
  [403, 'PERMISSION_DENIED', false],
  [404, 'NOT_FOUND', false],
  [409, 'CONFLICT', true],
  [412, 'PRECONDITION_FAILED', false],
  [416, 'RANGE_NOT_SATISFIABLE', false],
  [429, 'RATE_LIMITED', true],
  [503, 'UNAVAILABLE', true],
  [504, 'TIMEOUT', true],
  [507, 'NO_SPACE', false],
  [599, 'UNAVAILABLE', true],
  [418, 'INTERNAL', false],
  [302, 'INTERNAL', false],
])('%d is %s', (status, code, retryable) => {
  expect(mapHttp(status, AT)).toMatchObject({ code, retryable, at: AT })
})

test.each([
  ['120', 120_000],
  ['Fri, 01 Jan 2038 00:01:00 GMT', 60_000],
  ['Thu, 31 Dec 2037 00:00:00 GMT', 0],
  ['3153600000', 86_400_000],
  ['9'.repeat(400), 86_400_000],
  ['Sat, 01 Jan 2138 00:00:00 GMT', 86_400_000],
  ['soon', undefined],
  [null, undefined],
])('Retry-After: %s asks for %s ms', (retryAfter, expected) => {
  vi.useFakeTimers({ now: Date.UTC(2038, 0, 1) })
  expect(mapHttp(503, AT, { retryAfter }).retryAfterMs).toBe(expected)
})

test('cause and detail are kept', () => {
  const cause = new Error('reset')
  expect(mapHttp(500, AT, { cause, detail: 'SlowDown' })).toMatchObject({
    cause,
    message: expect.stringContaining('SlowDown'),
  })
})
