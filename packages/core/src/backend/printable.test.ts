import { describe, expect, it } from 'vitest'
import { StorageError } from './error.ts'
import { printable } from './printable.ts'

const ESC = '\u001b'

describe('printable()', () => {
  it.each([
    ['a window title', `${ESC}]0;owned\u0007`, '\\u001b]0;owned\\u0007'],
    ['a cleared screen', `${ESC}[2J`, '\\u001b[2J'],
    ['the same in one C1 character', '\u009b2J', '\\u009b2J'],
    ['line breaks', 'a\r\nb\u0085c\u2028d\u2029e', 'a\\r\\nb\\u0085c\\u2028d\\u2029e'],
    ['DEL', 'a\u007f', 'a\\u007f'],
    ['a direction override', 'gpj.\u202eexe', 'gpj.\\u202eexe'],
    ['an isolate', '\u2066a\u2069', '\\u2066a\\u2069'],
    ['a direction mark', 'a\u200f\u061c', 'a\\u200f\\u061c'],
    ['a zero-width space', 'a\u200bb\ufeff', 'a\\u200bb\\ufeff'],
    ['a soft hyphen', 'a\u00adb', 'a\\u00adb'],
    ['text in tags', '\u{e0041}', '\\udb40\\udc41'],
    ['half of a surrogate pair', 'a\ud800', 'a\\ud800'],
  ])('shows %s', (_, text, shown) => {
    expect(printable(text)).toBe(shown)
    expect(printable(shown)).toBe(shown)
  })

  it.each([
    'résumé – 概要.pdf',
    'می‌خواهم',
    '👩‍💻 👍🏽 🏳️‍🌈',
    '\u0646\u0635 עברית',
    'back\\slash "quoted" $HOME',
    'e\u0301 \u00a0',
  ])('leaves %j unchanged', (text) => expect(printable(text)).toBe(text))

  it('keeps JSON equivalent', () => {
    const value = { key: `${ESC}]0;x\u0007 \u009b \u202e \u{e0041} \u2028 \\u0041 "` }
    const json = printable(JSON.stringify(value))
    expect(JSON.parse(json)).toEqual(value)
    expect(json).toMatch(/^[ -~]*$/)
  })
})

describe('the message of a StorageError', () => {
  it('is printable, whatever the service said and whatever the key is', () => {
    const at = { backend: 's3', op: 'get', key: 'a\u009b2J' }
    const error = new StorageError('UNAVAILABLE', at, { detail: `${ESC}]0;owned\u0007\nNo \u202esuch` })
    expect(error.message).toBe('s3 get "a\\u009b2J": UNAVAILABLE: \\u001b]0;owned\\u0007\\nNo \\u202esuch')
    expect(error).toMatchObject({ at, detail: `${ESC}]0;owned\u0007\nNo \u202esuch` })
  })
})
