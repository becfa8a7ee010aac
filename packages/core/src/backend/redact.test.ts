import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { StorageError, toStorageError } from './error.ts'
import { keepSecret } from './redact.ts'
import { Credential } from './secret.ts'

const AT = { backend: 'b', op: 'get', key: 'k' }
/** Contains characters that must be escaped in a URL, in XML and in JSON. */
const TOKEN = 'FwoGZXIvYXdzEBc"aD/8a+b<c>&d=='

/** Everything shown of an error that says `text`. */
function shown(text: string, cause?: unknown): string {
  const error = new StorageError('UNAVAILABLE', AT, { detail: text, cause })
  return [error.message, error.detail, error.stack, inspect(error, { depth: 12 }), JSON.stringify(error)].join('\n')
}

const FORMS: Readonly<Record<string, (secret: string) => string>> = {
  unchanged: (secret) => secret,
  'escaped for a URL': encodeURIComponent,
  'escaped for a URL in lower case': (secret) => encodeURIComponent(secret).replace(/%../g, (c) => c.toLowerCase()),
  'in JSON': (secret) => JSON.stringify({ secret }),
  'in XML': (secret) => secret.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;'),
  'in Base64': (secret) => Buffer.from(secret).toString('base64'),
  'in the Base64 of a name and the secret': (secret) => Buffer.from(`me:${secret}`).toString('base64'),
  'in the Base64 of a longer name': (secret) => Buffer.from(`user:${secret}`).toString('base64url'),
}

describe('a StorageError', () => {
  it.each(Object.entries(FORMS))('leaves out what a Credential supplied, %s', async (_, form) => {
    const credential = new Credential({ id: 'me', token: TOKEN })
    const failure = credential.use(async () => {
      throw new StorageError('UNAVAILABLE', AT, { detail: `the service says: no ${form(TOKEN)} here` })
    })
    await expect(failure).rejects.toThrow(/says: no .*\*\*\*.* here/)
    const told = await failure.catch((error) => shown(error.detail, error))
    for (const say of Object.values(FORMS)) expect(told).not.toContain(say(TOKEN))
    // No part that is long enough to be useful.
    for (const part of form(TOKEN).match(/[\w+/-]{12,}/g) ?? []) expect(told).not.toContain(part)
  })

  it('leaves it out of its cause, of nested causes, and of their fields', async () => {
    const credential = new Credential(TOKEN)
    await credential.use(async () => {})
    const deep = Object.assign(new TypeError(`bad header: ${TOKEN}`), { code: 'ERR', headers: { token: TOKEN } })
    const cause = new Error('outside', { cause: deep })
    const error = new StorageError('UNAVAILABLE', AT, { cause })
    expect(inspect(error, { depth: 12 })).not.toContain(TOKEN)
    expect(error.cause).toMatchObject({ message: 'outside', cause: { message: 'bad header: ***', code: 'ERR' } })
    expect((error.cause as Error).cause).toBeInstanceOf(TypeError)
    // The original error is not changed.
    expect(deep.message).toContain(TOKEN)
  })

  it('leaves it out of lists in its cause, such as the errors of an AggregateError', async () => {
    await new Credential(TOKEN).use(async () => {})
    const cause = new AggregateError([new TypeError(`no ${TOKEN}`), new Error('reset')], 'every address failed')
    const error = new StorageError('UNAVAILABLE', AT, { cause })
    expect(error.cause).toBeInstanceOf(AggregateError)
    expect((error.cause as AggregateError).errors).toMatchObject([{ message: 'no ***' }, { message: 'reset' }])
    expect(inspect(error, { depth: 12 })).not.toContain(TOKEN)
  })

  it('accepts anything as its cause, even a value that throws when inspected', async () => {
    await new Credential(TOKEN).use(async () => {})
    const fail = () => {
      throw new Error('no')
    }
    const { proxy, revoke } = Proxy.revocable({}, {})
    revoke()
    for (const cause of [
      proxy,
      new Proxy(new Error('whole'), { get: fail, ownKeys: fail, getOwnPropertyDescriptor: fail }),
      Object.defineProperty(new Error('no message'), 'message', { get: fail }),
      Object.assign(new Error(TOKEN), { field: proxy }),
    ])
      expect(toStorageError(cause, AT)).toMatchObject({ code: 'INTERNAL', cause: expect.anything() })
  })

  it('keeps a cause that holds nothing secret unchanged', async () => {
    await new Credential(TOKEN).use(async () => {})
    const cause = Object.assign(new Error('reset'), { code: 'ECONNRESET' })
    expect(new StorageError('UNAVAILABLE', AT, { cause }).cause).toBe(cause)
  })

  it('keeps a StorageError a StorageError when it is the cause', async () => {
    await new Credential(TOKEN).use(async () => {})
    const cause = Object.assign(new StorageError('TIMEOUT', AT), { note: TOKEN })
    const { cause: kept } = new StorageError('UNAVAILABLE', AT, { cause })
    expect(StorageError.is(kept) && [kept.code, kept.at, kept.message]).toEqual([cause.code, AT, cause.message])
    expect(inspect(kept)).not.toContain(TOKEN)
  })

  it('leaves out the lines of a private key, but not its header and footer', async () => {
    const frame = ['-----BEGIN OPENSSH PRIVATE KEY-----', '-----END OPENSSH PRIVATE KEY-----']
    const line = 'b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW'
    await new Credential({ privateKey: [frame[0], line, frame[1]].join('\n') }).use(async () => {})
    expect(shown(`${frame[0]} ${line}`)).toContain(`${frame[0]} ***`)
  })

  it('leaves out any signature, and any token in a URL', () => {
    const url = 'https://h/b/k?X-Amz-Signature=0123456789abcdef&X-Amz-Security-Token=FwoGZXIvYXdz%2F&a=b'
    expect(shown(url)).not.toMatch(/0123456789abcdef|FwoGZXIvYXdz/)
    expect(shown('Authorization: AWS4-HMAC-SHA256 Credential=AKID/x, Signature=0123456789abcdef')).not.toContain('0123')
    expect(shown('{"authorization":"Basic dXNlcjpwYXNz"}')).not.toContain('dXNlcjpwYXNz')
  })

  it('leaves out a credential that has since been renewed, too', async () => {
    const tokens = ['token number one', 'token number two']
    const credential = new Credential(() => tokens.shift() as string, { expiresAt: () => 0 })
    for (let i = 0; i < 2; i++) await credential.use(async () => {})
    expect(shown('not token number one, nor token number two')).not.toContain('token number')
  })

  it('leaves the names in a credential alone', async () => {
    const secretOf = ({ token }: { token: string }) => token
    await new Credential({ user: 'somebody', token: 'the token of somebody' }, { secretOf }).use(async () => {})
    expect(shown('somebody else, with the token of somebody')).toContain('somebody else, with ***')
  })

  it('leaves short words alone even if they equal a short password', async () => {
    const owner = {}
    keepSecret(owner, ['no', 'gone'])
    expect(shown('no such thing, it is gone')).toContain('no such thing, it is gone')
    expect(owner).toEqual({})
  })

  it('is truncated, whatever a server says', () => {
    const endless = 'for ever '.repeat(1 << 20)
    expect(shown(endless, new Error(endless)).length).toBeLessThan(30_000)
  })
})
