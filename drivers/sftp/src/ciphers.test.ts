import { createSecretKey, randomBytes } from 'node:crypto'
import type { SFTPWrapper } from 'ssh2'
import { describe, expect, it } from 'vitest'
import { prepareKeys } from './ciphers.ts'

const sftpOf = (protocol: object | undefined) => ({ _protocol: protocol }) as unknown as SFTPWrapper

describe('prepareKeys()', () => {
  it('replaces each key with a KeyObject of the same bytes', () => {
    const [out, back] = [randomBytes(16), randomBytes(16)]
    const protocol = { _cipher: { _encKey: out }, _decipher: { _decipherKey: back } }
    prepareKeys(sftpOf(protocol))
    expect(createSecretKey(out).equals(protocol._cipher._encKey as never)).toBe(true)
    expect(createSecretKey(back).equals(protocol._decipher._decipherKey as never)).toBe(true)
  })

  it('leaves ciphers alone that keep no key, or that do not exist', () => {
    const protocol = { _cipher: { _cipherInstance: 1 }, _decipher: undefined }
    prepareKeys(sftpOf(protocol))
    prepareKeys(sftpOf(undefined))
    expect(protocol).toEqual({ _cipher: { _cipherInstance: 1 }, _decipher: undefined })
  })
})
