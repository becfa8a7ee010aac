import { randomBytes } from 'node:crypto'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { startFauxqs } from '@stored/services'
import { afterAll, describe, expect, it, onTestFinished } from 'vitest'
import { S3Backend } from '../src/index.ts'
import { bytesOf, chunksOf, PART_BYTES, put, read, signal } from './bytes.ts'
import { Gate, type Page } from './gate.ts'

const HTML = '<!DOCTYPE html><html><head><title>Welcome</title></head><body><p>Please sign in<br></body></html>'
/** Well-formed XML. */
const XHTML = '<html><head><title>Welcome</title></head><body><p>Please sign in</p></body></html>'
/** A web server that sends one file for every request. */
const AS_A_FILE = { etag: '"65f0c2"', 'last-modified': 'Tue, 12 Mar 2024 21:00:00 GMT', 'accept-ranges': 'bytes' }

const PAGES: Readonly<Record<string, Page>> = {
  'a login page': { status: 200, html: HTML },
  'a login page that is XML': { status: 200, html: XHTML },
  'a login page that is a file': { status: 200, html: XHTML, headers: AS_A_FILE },
  'an empty success': { status: 200, html: '', headers: { 'content-type': 'text/plain' } },
  'a success without content': { status: 204, html: '' },
  'a redirection to a login': { status: 302, html: '', headers: { location: 'https://portal.example/?session=1' } },
  'a permanent redirection': { status: 301, html: XHTML, headers: { location: '/login' } },
  'a filter that forbids everything': { status: 403, html: HTML },
  'a filter that requires a login': { status: 401, html: XHTML },
  'a proxy that requires a login': { status: 407, html: XHTML },
  'a network that requires a login': { status: 511, html: XHTML },
  'a server that has nothing': { status: 404, html: HTML },
  'a server that has nothing any more': { status: 410, html: XHTML },
  'a server that understands nothing': { status: 400, html: XHTML },
  'a server that allows nothing': { status: 405, html: XHTML },
  'a server whose conditions never hold': { status: 412, html: XHTML },
  'a server in conflict': { status: 409, html: XHTML },
  'a proxy without a server': { status: 502, html: HTML },
}

const fauxqs = await startFauxqs()
const credentials = { accessKeyId: 'stored', secretAccessKey: randomBytes(20).toString('hex') }
const plain = new S3Client({ endpoint: fauxqs.endpoint, region: 'us-east-1', forcePathStyle: true, credentials })
await plain.send(new CreateBucketCommand({ Bucket: 'stored' }))
afterAll(async () => {
  plain.destroy()
  await fauxqs[Symbol.asyncDispose]()
})

async function place() {
  const gate = await Gate.start(fauxqs.endpoint)
  onTestFinished(() => gate[Symbol.asyncDispose]())
  const prefix = `${crypto.randomUUID()}/`
  const options = { bucket: 'stored', endpoint: gate.endpoint, credentials, partSize: PART_BYTES, prefix } as const
  const backend = new S3Backend(options)
  onTestFinished(() => backend.close())
  return { gate, backend }
}

describe.each(Object.entries(PAGES))('%s in place of S3', (_, page) => {
  it('is UNAVAILABLE to every operation, which changes nothing', async () => {
    const { gate, backend } = await place()
    await backend.open({ log: () => {} })
    await put(backend, 'blob', Buffer.from('hello'))
    const operations: Record<string, () => Promise<unknown>> = {
      'put of a small blob': () => put(backend, 'blob', Buffer.from('other')),
      'put of a blob in pieces': () => put(backend, 'blob', bytesOf(1 << 20)),
      'put of a blob in parts': () => put(backend, 'blob', bytesOf(PART_BYTES + 1)),
      'put of what is not there yet': () =>
        backend.put('new', chunksOf(Buffer.from('new')), { signal, size: 3, ifAbsent: true }),
      get: async () => read(await backend.get('blob', { signal })),
      'get of a range': async () => read(await backend.get('blob', { signal, offset: 1, length: 2 })),
      stat: () => backend.stat('blob', { signal }),
      list: () => Array.fromAsync(backend.list({ prefix: '', signal })),
      delete: () => backend.delete('blob', { signal }),
      copy: () => backend.copy('blob', 'copy', { signal }),
      deleteMany: () => backend.deleteMany(['blob'], { signal }),
      sweep: () => backend.sweep({ olderThanMs: 0, signal }),
    }
    gate.judge = () => page
    for (const [what, operation] of Object.entries(operations)) {
      const error = await operation().catch((error) => error)
      expect(error, what).toMatchObject({ code: 'UNAVAILABLE', retryable: true })
    }
    gate.judge = () => null
    expect((await read(await backend.get('blob', { signal }))).toString()).toBe('hello')
    expect(await Array.fromAsync(backend.list({ prefix: '', signal }), ({ key }) => key)).toEqual(['blob'])
  })

  it('is MISCONFIGURED, or UNAVAILABLE, to open, which succeeds once it is gone', async () => {
    const { gate, backend } = await place()
    gate.judge = () => page
    const code = page.status < 500 ? 'MISCONFIGURED' : 'UNAVAILABLE'
    await expect(backend.open({ log: () => {} })).rejects.toMatchObject({ code })
    gate.judge = () => null
    await backend.open({ log: () => {} })
  })
})

describe('a proxy before S3', () => {
  it.each([
    [413, 'TOO_LARGE', false],
    [414, 'INVALID_KEY', false],
    [431, 'TOO_LARGE', false],
    [429, 'RATE_LIMITED', true],
    [504, 'TIMEOUT', true],
  ])('that answers %i by itself is believed: %s', async (status, code, retryable) => {
    const { gate, backend } = await place()
    await backend.open({ log: () => {} })
    gate.judge = () => ({ status, html: HTML })
    await expect(put(backend, 'blob', Buffer.from('x'))).rejects.toMatchObject({ code, retryable })
  })

  it('in whose page a put of a part meets, and not the rest, sends that part again', async () => {
    const { gate, backend } = await place()
    await backend.open({ log: () => {} })
    let pages = 2
    gate.judge = ({ path }) => (path.includes('partNumber=2&') && pages-- > 0 ? { status: 200, html: HTML } : null)
    const bytes = bytesOf(2 * PART_BYTES)
    await put(backend, 'blob', bytes)
    expect(bytes.equals(await read(await backend.get('blob', { signal })))).toBe(true)
  })
})

describe('a blob that is a page itself', () => {
  it('is read as any other', async () => {
    const { backend } = await place()
    await backend.open({ log: () => {} })
    const body = chunksOf(Buffer.from(HTML))
    await backend.put('index.html', body, { signal, size: HTML.length, contentType: 'text/html' })
    expect(await backend.stat('index.html', { signal })).toMatchObject({ contentType: 'text/html' })
    expect((await read(await backend.get('index.html', { signal }))).toString()).toBe(HTML)
  })
})
