import { StorageError } from '@stored/core/backend'
import { describe, expect, it } from 'vitest'
import { saysAbsent, toDialError, toSftpError } from './errors.ts'

const at = { backend: 'sftp', op: 'put', key: 'key' }
const failed = (properties: object, message = 'Failure') => Object.assign(new Error(message), properties)

describe('toSftpError()', () => {
  it.each([
    [2, 'CONFLICT', true],
    [3, 'PERMISSION_DENIED', false],
    [4, 'UNAVAILABLE', true],
    [5, 'INTERNAL', false],
    [6, 'UNAVAILABLE', true],
    [7, 'UNAVAILABLE', true],
    [8, 'UNSUPPORTED', false],
    [99, 'INTERNAL', false],
  ])('turns status %i into %s', (status, code, retryable) => {
    const cause = failed({ code: status })
    expect(toSftpError(cause, at)).toMatchObject({ code, retryable, at, cause })
  })

  it('leaves a StorageError unchanged', () => {
    const error = new StorageError('NO_SPACE', at)
    expect(toSftpError(error, at)).toBe(error)
  })

  it('turns an abort reason into ABORTED', () => {
    const signal = AbortSignal.abort(new Error('enough'))
    expect(toSftpError(signal.reason, at, signal)).toMatchObject({ code: 'ABORTED', cause: signal.reason })
  })
})

describe('toDialError()', () => {
  it.each([
    [{ code: 'ECONNREFUSED' }, '', 'UNAVAILABLE'],
    [{ code: 'ENOTFOUND' }, '', 'UNAVAILABLE'],
    [{ code: 'ECONNRESET', level: 'client-socket' }, '', 'UNAVAILABLE'],
    [{ level: 'client-timeout' }, 'Timed out while waiting for handshake', 'TIMEOUT'],
    [{ level: 'client-authentication' }, 'All configured authentication methods failed', 'UNAUTHENTICATED'],
    [{ level: 'agent' }, 'Failed to connect to agent', 'UNAUTHENTICATED'],
    [{ level: 'handshake' }, 'Handshake failed: no matching key exchange algorithm', 'MISCONFIGURED'],
    [{ level: 'protocol' }, 'Connection lost before handshake', 'UNAVAILABLE'],
    [{}, 'Unable to start subsystem: sftp', 'MISCONFIGURED'],
  ])('turns %j %s into %s', (properties, message, code) => {
    expect(toDialError(failed(properties, message), at)).toMatchObject({ code, at })
  })
})

describe('saysAbsent()', () => {
  it('is true of status 2, and of nothing else', () => {
    expect([1, 2, 3, 4, 'ENOENT'].map((code) => saysAbsent(failed({ code })))).toEqual([
      false,
      true,
      false,
      false,
      false,
    ])
  })
})
