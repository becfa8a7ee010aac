import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { BlobId } from '../../model/blob.ts'
import { decodeCursor, encodeCursor, isSampled } from './verify-cursor.ts'

const AT = { op: 'verify' }
const id = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes): BlobId => `sha256:${Buffer.from(bytes).toString('hex')}`)
const day = fc.integer({ min: 0, max: 100_000 })

describe('decodeCursor()', () => {
  test('returns what encodeCursor() was given', () => {
    const cursor = fc.record({ backend: fc.string(), key: fc.string({ unit: 'grapheme' }), day })
    fc.assert(
      fc.property(cursor, (one) => {
        expect(decodeCursor(encodeCursor(one), AT)).toEqual(one)
      }),
    )
  })

  test('of anything else throws INVALID_ARGUMENT', () => {
    const refused = expect.objectContaining({ code: 'INVALID_ARGUMENT' })
    const json = fc.json().map((text) => Buffer.from(text).toString('base64url'))
    fc.assert(
      fc.property(fc.oneof(fc.anything(), json), (one) => {
        expect(() => decodeCursor(one, AT)).toThrow(refused)
      }),
    )
  })
})

describe('isSampled()', () => {
  test('takes every id within so many days in a row, whichever is the first', () => {
    const sample = fc.double({ min: 0.001, max: 1, noNaN: true })
    fc.assert(
      fc.property(id, sample, day, (one, part, first) => {
        const days = Array.from({ length: Math.ceil(1 / part) }, (_, i) => first + i)
        expect(days.some((today) => isSampled(one, part, today))).toBe(true)
      }),
    )
  })

  test('takes about its part of the ids', () => {
    const ids = Array.from(
      { length: 256 },
      (_, i): BlobId => `sha256:${i.toString(16).padStart(2, '0').padEnd(64, '7')}`,
    )
    const sample = fc.double({ min: 0.01, max: 1, noNaN: true })
    fc.assert(
      fc.property(sample, day, (part, today) => {
        const taken = ids.filter((one) => isSampled(one, part, today)).length
        expect(Math.abs(taken - part * ids.length)).toBeLessThan(1.5)
      }),
    )
  })

  test('of all takes all', () => {
    fc.assert(
      fc.property(id, day, (one, today) => {
        expect(isSampled(one, 1, today)).toBe(true)
      }),
    )
  })
})
