import { hash } from 'node:crypto'
import { Readable } from 'node:stream'
import { PutObjectCommand, S3Client, type S3ClientConfig } from '@aws-sdk/client-s3'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Answers } from './answers.ts'
import { toS3Error } from './errors.ts'
import { Route, type SmallPut } from './route.ts'

const AT = { backend: 's3', op: 'put', key: 'blob' }
const BLOB: SmallPut = { Key: 'blob', Body: Buffer.from('StoreD') }
const { signal } = new AbortController()

interface Sent {
  readonly method: string
  readonly protocol: string
  readonly hostname: string
  readonly port?: number
  readonly path: string
  readonly query: Record<string, string>
  readonly headers: Record<string, string>
  readonly body: Buffer
}

/** A client without a server: what it would send, and the response it gets. */
function clientOf(config: S3ClientConfig = {}, answer = { statusCode: 200, text: '' }) {
  const sent: Sent[] = []
  const handle = async (request: Sent) => {
    sent.push(request)
    const { statusCode, text } = answer
    const headers = { etag: '"etag"', 'retry-after': '7', 'x-amz-request-id': 'request' }
    return { response: { statusCode, headers, body: Readable.from(text === '' ? [] : [Buffer.from(text)]) } }
  }
  const s3 = new S3Client({
    region: 'eu-central-1',
    maxAttempts: 1,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    expectContinueHeader: false,
    credentials: { accessKeyId: 'id', secretAccessKey: 'secret' },
    requestHandler: { handle } as never,
    ...config,
  })
  return { s3, sent }
}

async function routeOf(s3: S3Client, bucket = 'bucket'): Promise<Route> {
  const route = await Route.find(s3, bucket, new Answers())
  if (route === null) throw new Error('there is no route')
  return route
}

/** Makes the SDK leave out the ids of the request and its attempts, which are signed as well. */
function forgetTries(s3: S3Client): void {
  const forget = (next: (args: never) => Promise<never>) => (args: { request: Sent }) => {
    for (const name of ['amz-sdk-invocation-id', 'amz-sdk-request']) delete args.request.headers[name]
    return next(args as never)
  }
  const before = { relation: 'before', toMiddleware: 'httpSigningMiddleware', name: 'forgetTries' } as const
  s3.middlewareStack.addRelativeTo(forget as never, before)
}

function plain({ method, protocol, hostname, port, path, query, headers, body }: Sent) {
  return { method, protocol, hostname, port, path, query, headers, body: Buffer.from(body) }
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'] })
})

afterEach(() => {
  vi.useRealTimers()
})

describe('put', () => {
  const places: Record<string, S3ClientConfig> = {
    'AWS, by host name': {},
    'AWS, by path': { forcePathStyle: true },
    'AWS, with a session token': {
      credentials: { accessKeyId: 'id', secretAccessKey: 'secret', sessionToken: 'token' },
    },
    'another server': { endpoint: 'http://127.0.0.1:9000', forcePathStyle: true, region: 'us-east-1' },
  }

  it.each(Object.entries(places))('sends to %s what the SDK sends', async (_, config) => {
    const { s3, sent } = clientOf(config)
    forgetTries(s3)
    const route = await routeOf(s3)
    const text = fc.string({ minLength: 1, unit: 'grapheme' }).filter((part) => part.isWellFormed())
    const input = fc.record(
      {
        Key: fc.array(text, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/')),
        Body: fc.uint8Array().map((bytes) => Buffer.from(bytes)),
        ContentType: fc.constantFrom('text/plain', 'image/png'),
        IfNoneMatch: fc.constant('*'),
        IfMatch: fc.constant('"etag"'),
        ChecksumSHA256: fc.constant('47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='),
      },
      { requiredKeys: ['Key', 'Body'] },
    )
    await fc.assert(
      fc.asyncProperty(input, async (put) => {
        sent.length = 0
        expect(await route.put(put, undefined, signal)).toBe('"etag"')
        await s3.send(new PutObjectCommand({ ...put, Bucket: 'bucket' }))
        const [ours, theirs] = sent.map(plain)
        expect(ours).toEqual(theirs)
      }),
    )
  })

  it('is signed with the given digest, and with the time of the service', async () => {
    const { s3, sent } = clientOf()
    const route = await routeOf(s3)
    s3.config.systemClockOffset = 86_400_000
    vi.setSystemTime('2026-01-01T00:00:00Z')
    const sha256 = hash('sha256', BLOB.Body)
    await route.put(BLOB, sha256, signal)
    expect(sent[0]?.headers).toMatchObject({ 'x-amz-content-sha256': sha256, 'x-amz-date': '20260102T000000Z' })
  })

  it.each([
    [412, '<Error><Code>PreconditionFailed</Code></Error>', { code: 'PRECONDITION_FAILED' }],
    [409, '<Error><Code>ConditionalRequestConflict</Code></Error>', { code: 'CONFLICT' }],
    [503, '<Error><Code>SlowDown</Code></Error>', { code: 'RATE_LIMITED', retryAfterMs: 7_000 }],
    [500, '', { code: 'UNAVAILABLE', ambiguous: true }],
    [403, '<Error><Code>SignatureDoesNotMatch</Code></Error>', { code: 'UNAUTHENTICATED' }],
    [404, '<Error><Code>NoSuchBucket</Code></Error>', { code: 'MISCONFIGURED' }],
    [404, 'not here', { code: 'MISCONFIGURED' }],
    [200, '<Error><Code>InternalError</Code></Error>', { code: 'UNAVAILABLE', ambiguous: true }],
  ])('fails like the SDK if the service answers %i %s', async (statusCode, text, expected) => {
    const { s3 } = clientOf({}, { statusCode, text })
    new Answers().watch(s3)
    const route = await routeOf(s3)
    const ours = await route.put(BLOB, undefined, signal).catch((error: unknown) => error)
    const theirs = await s3.send(new PutObjectCommand({ ...BLOB, Bucket: 'bucket' })).catch((error: unknown) => error)
    const judged = [ours, theirs].map((error) => {
      const { code, retryable, retryAfterMs, ambiguous } = toS3Error(error, AT, signal, true)
      return { code, retryable, retryAfterMs, ambiguous }
    })
    expect(judged[0]).toEqual(judged[1])
    expect(judged[0]).toMatchObject(expected)
  })
})

describe('find', () => {
  it('sends nothing', async () => {
    const { s3, sent } = clientOf()
    await routeOf(s3)
    expect(sent).toEqual([])
  })

  it('finds none if a session is needed', async () => {
    const { s3 } = clientOf({ region: 'us-west-2', disableS3ExpressSessionAuth: false })
    s3.config.s3ExpressIdentityProvider = {
      getS3ExpressIdentity: async () =>
        ({ accessKeyId: 'id', secretAccessKey: 'secret', sessionToken: 'token' }) as never,
    }
    expect(await Route.find(s3, 'bucket--usw2-az1--x-s3', new Answers())).toBe(null)
  })
})
