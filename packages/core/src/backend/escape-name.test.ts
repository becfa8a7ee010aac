import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { escapeName } from './escape-name.ts'

describe('escapeName()', () => {
  test.each([
    [[0x61, 0xff, 0x62], 'a\\xffb'],
    [[0xc3, 0xa4, 0xc3], 'ä\\xc3'],
    [[0xed, 0xa0, 0x80], '\\xed\\xa0\\x80'],
    [[0xef, 0xbf, 0xbd], '\ufffd'],
    [[0x5c, 0x78], '\\\\x'],
    [[], ''],
  ])('of %j', (bytes, expected) => {
    expect(escapeName(Uint8Array.from(bytes))).toBe(expected)
  })

  test('keeps different names different', () => {
    const piece = fc.constantFrom(
      ...['a', '\\', 'x', 'f', '\ufffd', 'ä'].map((text) => Buffer.from(text)),
      Buffer.of(0xff),
    )
    const name = fc.array(piece, { maxLength: 6 }).map((pieces) => Buffer.concat(pieces))
    fc.assert(
      fc.property(name, name, (one, other) => {
        expect(escapeName(one) === escapeName(other)).toBe(one.equals(other))
      }),
    )
  })
})
