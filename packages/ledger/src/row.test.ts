import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeRow, encodeRow, rowTicket } from './row.ts'

const HEADER = 11

describe('decodeRow()', () => {
  test('returns what encodeRow() was given', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.bigInt({ min: 0n, max: 2n ** 48n - 1n }), (value, ticket) => {
        const row = encodeRow(value, ticket)
        expect(rowTicket(row)).toBe(ticket)
        expect(decodeRow(row)).toEqual({ value: JSON.parse(JSON.stringify(value)), ticket })
      }),
    )
  })

  test('keeps a ticket of 48 bits', () => {
    expect(decodeRow(encodeRow(null, 2n ** 48n - 1n)).ticket).toBe(2n ** 48n - 1n)
  })

  test('of a row with a flipped bit in checksum or JSON throws CORRUPT', () => {
    const row = encodeRow({ id: 'sha256:…', size: 12 }, 7n)
    for (let bit = 7 * 8; bit < row.length * 8; bit++) {
      const damaged = Buffer.from(row)
      damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ (1 << (bit & 7))
      expect(() => decodeRow(damaged)).toThrow(expect.objectContaining({ code: 'CORRUPT' }))
    }
  })

  test('of a row cut short anywhere throws CORRUPT', () => {
    const row = encodeRow({ size: 12 }, 7n)
    for (let length = 0; length < row.length; length++)
      expect(() => decodeRow(row.subarray(0, length))).toThrow(expect.objectContaining({ code: 'CORRUPT' }))
  })

  test('of a row of another version throws INCOMPATIBLE, naming it', () => {
    const row = encodeRow({}, 1n)
    row[0] = 2
    expect(() => decodeRow(row)).toThrow(expect.objectContaining({ code: 'INCOMPATIBLE' }))
    expect(() => decodeRow(row)).toThrow('format 2')
    expect(() => rowTicket(row)).toThrow(expect.objectContaining({ code: 'INCOMPATIBLE' }))
  })
})

test('a row is its header and its JSON in UTF-8', () => {
  const row = encodeRow({ key: '～' }, 1n)
  expect(row.length).toBe(HEADER + Buffer.byteLength('{"key":"～"}'))
  expect(row.toString('utf8', HEADER)).toBe('{"key":"～"}')
})
