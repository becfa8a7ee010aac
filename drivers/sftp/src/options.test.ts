import { describe, expect, it } from 'vitest'
import { parseOptions } from './options.ts'

const PIN = `SHA256:${'A'.repeat(43)}`
const GOOD = { host: 'example.org', username: 'me', password: 'hush', hostFingerprint: PIN, root: 'blobs' }
const parse = (changes: Record<string, unknown>) => () => parseOptions({ ...GOOD, ...changes })

describe('parseOptions()', () => {
  it('accepts what a connection needs, with secrets as texts or functions', () => {
    expect(parseOptions(GOOD)).toEqual({ ...GOOD, port: 22, connections: 4, requestsInFlight: 64, fsync: true })
    expect(parse({ password: undefined, privateKey: () => 'key', passphrase: async () => 'hush' })).not.toThrow()
    expect(parse({ hostFingerprint: [PIN, `${PIN}=`], port: 2222, connections: 1, fsync: false })).not.toThrow()
  })

  it.each([
    [{ host: '' }, 'option "host"'],
    [{ port: 70_000 }, 'option "port"'],
    [{ port: '22' }, 'option "port"'],
    [{ username: undefined }, 'option "username"'],
    [{ privateKey: Buffer.from('key') }, 'option "privateKey"'],
    [{ hostFingerprint: 'MD5:aa:bb' }, 'option "hostFingerprint"'],
    [{ hostFingerprint: [] }, 'option "hostFingerprint"'],
    [{ root: 'a\0b' }, 'option "root"'],
    [{ connections: 5 }, 'option "connections"'],
    [{ requestsInFlight: 0 }, 'option "requestsInFlight"'],
    [{ fsync: 'yes' }, 'option "fsync"'],
    [{ fingerprint: PIN }, 'unknown option "fingerprint"; did you mean "hostFingerprint"?'],
    [{ password: undefined }, 'one of the options "password", "privateKey" and "agent" is required'],
  ])('refuses %j with INVALID_ARGUMENT and the name of the option', (changes, message) => {
    expect(parse(changes)).toThrow(message)
    expect(parse(changes)).toThrow('INVALID_ARGUMENT')
  })

  it('refuses to trust any host key, and says how to learn the right one', () => {
    expect(parse({ hostFingerprint: undefined })).toThrow('ssh-keyscan -t ed25519 -p 22 example.org | ssh-keygen -lf -')
  })

  it('never shows the value of a secret', () => {
    expect(parse({ password: ['hush'] })).toThrow(/not array$/)
    expect(parse({ password: 'hu\0sh' })).toThrow(/not string$/)
  })
})
