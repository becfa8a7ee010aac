import { describe, expect, test } from 'vitest'
import { parseByteSize } from './byte-size.ts'

describe('parseByteSize()', () => {
  test.each([
    [1, 1],
    ['1', 1],
    ['500B', 500],
    ['1GB', 1e9],
    ['1 gb', 1e9],
    ['1.5 GiB', 1.5 * 2 ** 30],
    [' 2KiB ', 2048],
    ['0.7KB', 700],
    ['3TB', 3e12],
  ])('%j is %i bytes', (given, bytes) => {
    expect(parseByteSize(given)).toBe(bytes)
  })

  test.each([
    0,
    -1,
    1.5,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    2 ** 53,
    '',
    'GB',
    '0GB',
    '-1GB',
    '1 XB',
    '1,5GB',
    '1GB!',
    true,
    null,
    {},
  ])('%j is not a size', (given) => {
    expect(parseByteSize(given)).toBeNull()
  })
})
