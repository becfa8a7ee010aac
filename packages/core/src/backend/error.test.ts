import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { StorageError } from './error.ts'

describe('StorageError', () => {
  const error = new StorageError('TIMEOUT', { backend: 'usb', op: 'put', key: 'a' }, { detail: 'no byte for 60 s' })
  const url = 'https://github.com/stored/stored/blob/main/docs/errors/TIMEOUT.md'

  it('says in one line what failed, where and why', () => {
    expect(error.message).toBe('usb put "a": TIMEOUT: no byte for 60 s')
  })

  it('names the page about its code, where Node.js prints it', () => {
    expect(error.url).toBe(url)
    expect(inspect(error)).toContain(url)
  })
})
