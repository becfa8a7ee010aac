import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type CodecOptions, makeCodec } from './codec.ts'
import { keyFault } from './keys.ts'

const WINDOWS = {
  forbid: '<>:"\\|?*',
  forbidTrailing: '. ',
  reservedNames: ['CON', 'PRN', 'AUX', 'NUL', 'COM1', 'LPT1'],
} satisfies CodecOptions

const MEDIA: Readonly<Record<string, CodecOptions>> = {
  'one that allows everything': {},
  Windows: WINDOWS,
  'one without dots, slashes and astral characters': { forbid: /[./\u{10000}-\u{10FFFF}é]/u },
  'one that keeps names with a leading dot': {
    reservedNames: (segment) => segment.startsWith('.'),
    forbidTrailing: '~',
  },
}

/** Keys made of pieces that are hard for codecs. */
const pieces = [
  '%',
  '2',
  '25',
  '3A',
  '2E',
  '41',
  '43',
  ':',
  '.',
  ' ',
  '~',
  '/',
  'a',
  'CON',
  'aux.txt',
  'é',
  '%C3%A9',
  '%F0%9F%98%80',
  '😀',
  '%e9',
]
const key = fc
  .array(fc.oneof(fc.constantFrom(...pieces), fc.string({ unit: 'binary', maxLength: 2 })), {
    minLength: 1,
    maxLength: 8,
  })
  .map((parts) => parts.join(''))
  .filter((text) => keyFault(text) === null)

describe.each(Object.entries(MEDIA))('the codec of %s', (_, options) => {
  const codec = makeCodec(options)
  const encode = (text: string): string | null => {
    try {
      return codec.encode(text)
    } catch {
      return null // INVALID_KEY, which is asserted below.
    }
  }

  test('decode(encode(key)) is the key, so no two keys share a name', () => {
    fc.assert(
      fc.property(key, (text) => {
        const name = encode(text)
        fc.pre(name !== null)
        expect(codec.decode(name as string)).toBe(text)
      }),
      { numRuns: 2000 },
    )
  })

  test('a name is the encoding of the key it decodes to, or decodes to null', () => {
    fc.assert(
      fc.property(key, (name) => {
        const decoded = codec.decode(name)
        if (decoded !== null) expect(codec.encode(decoded)).toBe(name)
      }),
      { numRuns: 2000 },
    )
  })

  test('a name that the medium can hold unchanged decodes to a key', () => {
    fc.assert(
      fc.property(key, (name) => {
        if (encode(name) === name) expect(codec.decode(name)).toBe(name)
      }),
      { numRuns: 1000 },
    )
  })
})

test('names stored on Windows contain nothing that Windows forbids', () => {
  const codec = makeCodec(WINDOWS)
  fc.assert(
    fc.property(key, (text) => {
      for (const segment of codec.encode(text).split('/')) {
        expect(segment).not.toMatch(/[<>:"\\|?*]/)
        expect(segment).not.toMatch(/[. ]$/)
        expect(segment).not.toMatch(/^(con|prn|aux|nul|com1|lpt1) *(\.|$)/i)
      }
    }),
    { numRuns: 2000 },
  )
})

describe('encode() for Windows', () => {
  const codec = makeCodec(WINDOWS)

  test.each([
    ['photos/2024 summer/100%.jpg', 'photos/2024 summer/100%.jpg'],
    ['a%20b', 'a%20b'],
    ['a%41', 'a%41'],
    ['a%25b', 'a%25b'],
    ['a:b', 'a%3Ab'],
    ['a%3Ab', 'a%253Ab'],
    ['a%253Ab', 'a%25253Ab'],
    ['a%3ab', 'a%3ab'],
    ['end.', 'end%2E'],
    ['end..', 'end.%2E'],
    ['end%2E', 'end%252E'],
    ['mid%2E/x', 'mid%252E/x'],
    ['mid%2Ex', 'mid%2Ex'],
    ['con', '%63on'],
    ['AUX.txt', '%41UX.txt'],
    ['%41UX.txt', '%2541UX.txt'],
    ['%41UXILIARY', '%41UXILIARY'],
    ['console', 'console'],
  ])('%s is stored as %s', (text, name) => {
    expect(codec.encode(text)).toBe(name)
    expect(codec.decode(name)).toBe(text)
  })

  test.each(['a:b', 'end.', 'NUL', 'a/', '..', 'x/../y', '.stored/tmp'])(
    'decode(%j), a name it never stores, is null',
    (name) => {
      expect(codec.decode(name)).toBeNull()
    },
  )

  test.each(['', '../x', 'a//b', 'a\u0000', '\ud800'])('encode(%j), an invalid key, throws INVALID_KEY', (text) => {
    expect(() => codec.encode(text)).toThrowError(expect.objectContaining({ code: 'INVALID_KEY' }))
  })
})

test('a segment that becomes too long by escaping throws INVALID_KEY', () => {
  const codec = makeCodec({ forbid: ':', maxSegmentBytes: 6 })
  expect(codec.encode('ééé/a:bc')).toBe('ééé/a%3Abc')
  expect(() => codec.encode('a:bcd')).toThrowError(expect.objectContaining({ code: 'INVALID_KEY' }))
})

test('forbidding the slash yields a single segment', () => {
  expect(makeCodec({ forbid: '/' }).encode('a/b')).toBe('a%2Fb')
})

test.each(['%', 'A', '0'])('makeCodec() throws INVALID_ARGUMENT if it forbids %s, which escapes need', (forbid) => {
  expect(() => makeCodec({ forbid })).toThrowError(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
})
