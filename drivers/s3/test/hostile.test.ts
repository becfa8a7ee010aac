import type { IncomingMessage, ServerResponse } from 'node:http'
import { inspect } from 'node:util'
import { StorageError } from '@stored/core/backend'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { S3Backend } from '../src/index.ts'
import { PART_BYTES, put, signal } from './bytes.ts'
import { HostileServer } from './hostile.ts'

const MIB = 1 << 20
/**
 * What the system, the server and the SDK hold of a response that is not read further; none of it is in a collected
 * body.
 */
const IN_FLIGHT_BYTES = 16 * MIB

const ERROR = '<Error><Code>InternalError</Code><Message>'
const PAGE = '<ListBucketResult><IsTruncated>false</IsTruncated>'

function failureOf(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => 'no failure',
    (error: unknown) => error,
  )
}

const calls: Readonly<Record<string, (backend: S3Backend) => Promise<unknown>>> = {
  'put of a small blob': (backend) => put(backend, 'blob', Buffer.from('x')),
  'put of a blob of one part': (backend) => put(backend, 'blob', Buffer.alloc(MIB)),
  'put of a blob of several parts': (backend) => put(backend, 'blob', Buffer.alloc(2 * PART_BYTES)),
  get: (backend) => backend.get('blob', { signal }),
  'get of a range': (backend) => backend.get('blob', { signal, offset: 1, length: 1 }),
  delete: (backend) => backend.delete('blob', { signal }),
  list: (backend) => Array.fromAsync(backend.list({ prefix: '', signal })),
  copy: (backend) => backend.copy('blob', 'other', { signal }),
  deleteMany: (backend) => backend.deleteMany(['blob', 'other'], { signal }),
  sweep: (backend) => backend.sweep({ signal, olderThanMs: 0 }),
}

describe('an error whose body has no end', () => {
  it.each(Object.entries(calls))(
    'is UNAVAILABLE to %s, which reads no more of it than a service says',
    async (_, call) => {
      const server = await HostileServer.start()
      const backend = await server.backend({ partSize: PART_BYTES })
      server.answer = (_request, response) => server.endlessly(response, 500, ERROR, 'for ever and ever ')
      expect(await failureOf(call(backend))).toMatchObject({ code: 'UNAVAILABLE' })
      expect(server.sent).toBeLessThan(IN_FLIGHT_BYTES)
    },
  )
})

describe('a success whose body has no end', () => {
  it.each([
    ['put of a small blob', ' '],
    ['put of a blob of one part', ' '],
    ['put of a blob of several parts', ' '],
    ['delete', ' '],
    ['list', '<Contents><Key>a</Key></Contents>'],
    ['copy', ' '],
    ['deleteMany', '<Error><Key>a</Key></Error>'],
    ['sweep', '<Upload><Key>a</Key></Upload>'],
  ])('is UNAVAILABLE to %s, which reads no more of it than a service says', async (name, more) => {
    const server = await HostileServer.start()
    const backend = await server.backend({ partSize: PART_BYTES })
    server.answer = (_request, response) => server.endlessly(response, 200, PAGE, more)
    expect(await failureOf((calls[name] as (typeof calls)[string])(backend))).toMatchObject({ code: 'UNAVAILABLE' })
    expect(server.sent).toBeLessThan(IN_FLIGHT_BYTES + 8 * MIB)
  })

  it('says so', async () => {
    const server = await HostileServer.start()
    const backend = await server.backend()
    server.answer = (_request, response) => server.endlessly(response, 200, PAGE, ' ')
    await expect(calls.list?.(backend)).rejects.toThrow(
      /something other than S3 answers \(HTTP 200, application\/xml, more than 8388608 bytes\)$/,
    )
  })
})

describe('a listing that has no end', () => {
  const key = (name: string) => `<Contents><Key>${name}</Key><Size>1</Size></Contents>`
  const page = (keys: string, token: string) =>
    `<ListBucketResult><IsTruncated>true</IsTruncated>${keys}<NextContinuationToken>${token}</NextContinuationToken></ListBucketResult>`

  async function listing(nextPage: (turn: number) => string): Promise<{ failure: unknown; pages: number }> {
    const server = await HostileServer.start()
    const backend = await server.backend()
    let pages = 0
    server.answer = (_request: IncomingMessage, response: ServerResponse) => {
      // A client that asks this often would ask forever.
      if (pages > 100) response.writeHead(500)
      response.end(nextPage(++pages))
    }
    const failure = await failureOf(calls.list?.(backend) as Promise<unknown>)
    return { failure, pages }
  }

  it.each([
    ['whose token is always the same', () => page('', 'token')],
    ['whose tokens repeat', (turn: number) => page('', `token ${turn % 3}`)],
    ['whose keys are always the same, under other tokens', (turn: number) => page(key('a') + key('b'), `${turn}`)],
    ['whose keys repeat, under other tokens', (turn: number) => page(key(`a${turn % 3}`), `${turn}`)],
    ['whose token is a megabyte long', (turn: number) => page(key(`a${turn}`), 'x'.repeat(MIB))],
    [
      'that continues without saying where',
      () => `<ListBucketResult><IsTruncated>true</IsTruncated>${key('a')}</ListBucketResult>`,
    ],
    ['whose names are not encoded as declared', () => page(`<EncodingType>url</EncodingType>${key('%')}`, '1')],
  ])('%s is UNAVAILABLE', async (_, nextPage) => {
    const { failure, pages } = await listing(nextPage)
    expect(failure).toMatchObject({ code: 'UNAVAILABLE', detail: expect.stringContaining('the service answers with') })
    expect(pages).toBeLessThan(20)
  })

  it.each([
    [
      'uploads that were begun',
      'sweep',
      () =>
        '<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>a</NextKeyMarker>' +
        '<NextUploadIdMarker>b</NextUploadIdMarker></ListMultipartUploadsResult>',
    ],
    [
      'parts of an upload',
      'put of a blob of several parts',
      ({ method, url = '' }: IncomingMessage) => {
        if (method === 'POST')
          return '<InitiateMultipartUploadResult><UploadId>id</UploadId></InitiateMultipartUploadResult>'
        return method === 'GET' && url.includes('uploadId')
          ? '<ListPartsResult><IsTruncated>true</IsTruncated><NextPartNumberMarker>7</NextPartNumberMarker></ListPartsResult>'
          : null
      },
    ],
  ])('of %s is abandoned', async (_, name, nextPage) => {
    const server = await HostileServer.start()
    const backend = await server.backend({ partSize: PART_BYTES })
    let asked = 0
    server.answer = (request, response) => {
      const answered = nextPage(request)
      if (request.method === 'GET') asked++
      response.writeHead(answered === null || asked > 100 ? 500 : 200).end(answered ?? '')
    }
    expect(await failureOf((calls[name] as (typeof calls)[string])(backend))).toMatchObject({ code: 'UNAVAILABLE' })
    expect(asked).toBeLessThan(5)
  })
})

describe('what a service answers with', () => {
  it('is UNAVAILABLE when its header has no end', async () => {
    const server = await HostileServer.start()
    const backend = await server.backend()
    server.answer = (_, response) => response.setHeader('x-more', 'x'.repeat(MIB)).end()
    expect(await failureOf(backend.stat('blob', { signal }))).toMatchObject({ code: 'UNAVAILABLE' })
  })

  it('is UNAVAILABLE when its etag is no etag, but a text of kilobytes', async () => {
    const server = await HostileServer.start()
    const backend = await server.backend()
    server.answer = (_, response) => response.setHeader('etag', `"${'x'.repeat(8 << 10)}"`).end()
    expect(await failureOf(put(backend, 'blob', Buffer.from('x')))).toMatchObject({ code: 'UNAVAILABLE' })
  })

  it('is UNAVAILABLE when it is XML that is nested without end', async () => {
    const server = await HostileServer.start()
    const backend = await server.backend()
    server.answer = (_, response) => response.end('<a>'.repeat(MIB))
    const failure = await failureOf(calls.list?.(backend) as Promise<unknown>)
    expect(failure).toMatchObject({ code: 'UNAVAILABLE' })
    expect(StorageError.is(failure) && failure.message.length).toBeLessThan(1_000)
  })
})

describe('a service that echoes what it was told', () => {
  const credentials = {
    accessKeyId: 'AKIDEXAMPLE',
    secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
    sessionToken: 'FwoGZXIvYXdzEBcaDM1u+jz2/8a&b==',
  }

  /** The request in every form in which it can be repeated. */
  function everything({ headers, url }: IncomingMessage): string {
    const said = `${JSON.stringify(headers)} ${url} ${JSON.stringify(url)}`
    return `${said} ${encodeURIComponent(said)} ${Buffer.from(said).toString('base64')}`
  }
  const inXml = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
  const asIs = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')

  function echo(server: HostileServer, escaped: (text: string) => string, status: number): string[] {
    const signatures: string[] = []
    server.answer = (request, response) => {
      signatures.push(/Signature=([0-9a-f]{64})/.exec(request.headers.authorization ?? '')?.[1] ?? 'none')
      const Message = escaped(`not with ${everything(request)}`)
      response.setHeader('x-amz-request-id', request.headers['x-amz-security-token'] ?? '')
      response.writeHead(status).end(`<Error><Code>InvalidToken</Code><Message>${Message}</Message></Error>`)
    }
    return signatures
  }

  it.each(Object.entries(calls))('gets no token and no signature into an error of %s', async (_, call) => {
    for (const escaped of [inXml, asIs]) {
      const server = await HostileServer.start()
      const backend = await server.backend({ credentials, partSize: PART_BYTES })
      const signatures = echo(server, escaped, 400)
      const failure = await failureOf(call(backend))
      expect(failure).toBeInstanceOf(StorageError)
      const told = [inspect(failure, { depth: 12 }), JSON.stringify(failure)].join()
      expect(told).toContain('not with')
      for (const secret of [credentials.sessionToken, credentials.secretAccessKey, ...signatures]) {
        expect(told).not.toContain(secret)
        expect(told).not.toContain(encodeURIComponent(secret))
        expect(told).not.toContain(Buffer.from(secret).toString('base64').slice(4, -4))
      }
    }
  })

  it('gets none of what the SDK finds by itself into one either', async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', credentials.accessKeyId)
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', credentials.secretAccessKey)
    vi.stubEnv('AWS_SESSION_TOKEN', credentials.sessionToken)
    onTestFinished(() => void vi.unstubAllEnvs())
    const server = await HostileServer.start()
    const backend = new S3Backend({ bucket: 'bucket', endpoint: server.endpoint })
    onTestFinished(() => backend.close())
    await backend.open({ log: () => {} })
    echo(server, inXml, 400)
    const told = inspect(await failureOf(backend.delete('blob', { signal })), { depth: 12 })
    expect(told).toContain('not with')
    expect(told).not.toContain(credentials.sessionToken)
  })

  it('gets it into no etag', async () => {
    const server = await HostileServer.start()
    const backend = await server.backend({ credentials })
    server.answer = ({ headers }, response) => response.setHeader('etag', `"${headers['x-amz-security-token']}"`).end()
    expect(await failureOf(put(backend, 'blob', Buffer.from('x')))).toMatchObject({ code: 'UNAVAILABLE' })
  })

  it('gets it into no error of deleteMany that is about one key', async () => {
    const server = await HostileServer.start()
    const backend = await server.backend({ credentials })
    server.answer = ({ headers }, response) => {
      const Message = inXml(String(headers['x-amz-security-token']))
      response.end(
        `<DeleteResult><Error><Key>a</Key><Code>AccessDenied</Code><Message>${Message}</Message></Error></DeleteResult>`,
      )
    }
    const failures = await backend.deleteMany(['a'], { signal })
    expect(failures.get('a')).toMatchObject({ code: 'PERMISSION_DENIED', detail: expect.stringContaining('***') })
    expect(inspect(failures, { depth: 12 })).not.toContain(credentials.sessionToken)
  })
})
