import { expect, test } from 'vitest'
import { mapErrno } from './errno.ts'
import { StorageError } from './error.ts'

const AT = { backend: 'local', op: 'get', key: 'a' }
const failed = (code: string): Error => Object.assign(new Error(`${code}: it failed`), { code })

test.each([
  ['ENOENT', 'NOT_FOUND', false],
  ['EEXIST', 'ALREADY_EXISTS', false],
  ['EACCES', 'PERMISSION_DENIED', false],
  ['EROFS', 'PERMISSION_DENIED', false],
  ['EDQUOT', 'NO_SPACE', false],
  ['Unknown system error -122', 'NO_SPACE', false],
  ['ENOTDIR', 'KEY_CONFLICT', false],
  ['ENAMETOOLONG', 'INVALID_KEY', false],
  ['EFBIG', 'TOO_LARGE', false],
  ['ECONNRESET', 'UNAVAILABLE', true],
  ['EIO', 'UNAVAILABLE', true],
  ['ETIMEDOUT', 'TIMEOUT', true],
])('%s is %s', (errno, code, retryable) => {
  const cause = failed(errno)
  expect(mapErrno(cause, AT)).toMatchObject({ code, retryable, at: AT, cause })
})

test.each([failed('EWHATEVER'), failed('toString'), new Error('plain'), 'text', null])(
  '%s, which is not in the table, is INTERNAL',
  (cause) => {
    expect(mapErrno(cause, AT)).toMatchObject({ code: 'INTERNAL', cause })
  },
)

test('a StorageError is returned unchanged', () => {
  const error = new StorageError('CONFLICT', AT)
  expect(mapErrno(error, AT)).toBe(error)
})
