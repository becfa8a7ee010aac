import { describe, expect, it } from 'vitest'
import { BrokenPromise, equal, expectationOf } from './expect.ts'

const KEYS = Array.from({ length: 2_500 }, (_, i) => String(i).padStart(6, '0'))

describe('equal', () => {
  it.each<[string, unknown, unknown]>([
    ['a list with two more entries at its end', [...KEYS, '002499', '002499'], KEYS],
    ['a list with one entry fewer at its end', KEYS.slice(0, -1), KEYS],
    ['a list whose last entry differs', [...KEYS.slice(0, -1), 'x'], KEYS],
    ['a text whose last character differs', `${'x'.repeat(5_000)}y`, 'x'.repeat(5_001)],
    ['a map that is not empty', new Map([['a', 1]]), new Map()],
    ['a different set', new Set(['a']), new Set(['b'])],
    ['bytes that differ', Buffer.from('a'), Buffer.from('b')],
    ['nothing and null', [undefined], [null]],
    ['NaN and null', Number.NaN, null],
    ['a number and its text', 1, '1'],
    ['a text and null', 'null', null],
    ['the same letter in two forms', '\u00e9', 'e\u0301'],
    ['a nested property', { a: { b: [1] } }, { a: { b: [2] } }],
  ])('tells %s from what it should be', (_, actual, expected) => {
    expect(() => equal(actual, expected, 'it')).toThrow(BrokenPromise)
  })

  it.each<[string, unknown, unknown]>([
    ['properties in another order', { a: 1, b: { c: 2, d: 3 } }, { b: { d: 3, c: 2 }, a: 1 }],
    ['a property that is undefined', { a: 1, b: undefined }, { a: 1 }],
    ['an object without a prototype', Object.assign(Object.create(null), { a: 1 }), { a: 1 }],
    ['equal lists', KEYS, [...KEYS]],
    ['equal maps', new Map([['a', { b: 1 }]]), new Map([['a', { b: 1 }]])],
  ])('takes %s for the same', (_, actual, expected) => {
    expect(() => equal(actual, expected, 'it')).not.toThrow()
  })

  it('shows short values whole, and non-ASCII characters escaped', () => {
    expect(messageOf(['\u00e9', 'b'], ['e\u0301', 'b\u202e'])).toBe(
      String.raw`the list is ["e\u0301","b\u202e"], but was ["\u00e9","b"]`,
    )
  })

  it('shows the first difference in a long value, and the number of entries', () => {
    const message = messageOf([...KEYS, '002499', '002499'], KEYS)
    expect(message).toMatch(
      /^the list is …[\d",]+"002499"\] \(2500 entries\), but was …[\d",]+"002499","002499"\] \(2502 /,
    )
    expect(message.length).toBeLessThan(3_000)
  })
})

function messageOf(actual: unknown, expected: unknown): string {
  try {
    equal(actual, expected, 'the list')
    return 'nothing was thrown'
  } catch (error) {
    return expectationOf(error)
  }
}
