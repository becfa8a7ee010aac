import { describe, expect, test } from 'vitest'
import { overlapOf } from './address.ts'

describe('overlapOf()', () => {
  const at = (path: string, host = 'file') => ({ host, path })
  test.each([
    [at('/a/'), at('/a/'), 'same'],
    [at('/a/b/'), at('/a/'), 'inside'],
    [at('/a/'), at('/a/b/'), 'around'],
    [at('/a/'), at('/'), 'inside'],
    [at('/a/'), at('/ab/'), null],
    [at('/a/'), at('/a/', 'sftp:h:22'), null],
    // An S3 prefix need not end with a slash: the key b/c is also c in bucket?prefix=b/.
    [at('b', 's3:h/x'), at('b/', 's3:h/x'), 'around'],
    [at('', 's3:h/x'), at('b/', 's3:h/x'), 'around'],
    [undefined, at('/a/'), null],
    [at('/a/'), undefined, null],
  ])('of %j and %j is %j', (one, other, expected) => {
    expect(overlapOf(one, other)).toBe(expected)
  })
})
