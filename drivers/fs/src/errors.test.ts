import { StorageError } from '@stored/core/backend'
import { describe, expect, it } from 'vitest'
import { errnoError, saysAbsent, toFsError } from './errors.ts'

const at = { backend: 'fs', op: 'put', key: 'key' }
const errno = (code: string) => Object.assign(new Error(code), { code })

describe('toFsError()', () => {
  it.each([
    ['EACCES', 'PERMISSION_DENIED', false],
    ['EDQUOT', 'NO_SPACE', false],
    ['EIO', 'UNAVAILABLE', true],
    ['EISDIR', 'KEY_CONFLICT', false],
    ['ELOOP', 'KEY_CONFLICT', false],
    ['ENOENT', 'CONFLICT', true],
    ['ENOSPC', 'NO_SPACE', false],
    ['ENOTDIR', 'KEY_CONFLICT', false],
    ['ESTALE', 'UNAVAILABLE', true],
    ['EXDEV', 'MISCONFIGURED', false],
    ['EWHATEVER', 'INTERNAL', false],
  ])('turns %s into %s', (code, expected, retryable) => {
    const cause = errno(code)
    expect(toFsError(cause, at)).toMatchObject({ code: expected, retryable, at, cause })
  })

  it('leaves a StorageError unchanged', () => {
    const error = new StorageError('NO_SPACE', at)
    expect(toFsError(error, at)).toBe(error)
  })

  it('turns an abort reason into ABORTED', () => {
    const signal = AbortSignal.abort(new Error('enough'))
    expect(toFsError(signal.reason, at, signal)).toMatchObject({ code: 'ABORTED', cause: signal.reason })
  })
})

describe('saysAbsent()', () => {
  it('is true only for codes that mean nothing is there', () => {
    expect(saysAbsent(errnoError('ENOENT', '/x'))).toBe(true)
    expect(saysAbsent(errno('EACCES'))).toBe(false)
    expect(saysAbsent(errno('EIO'))).toBe(false)
    expect(saysAbsent(new Error('ENOENT'))).toBe(false)
  })
})
