import { hash } from 'node:crypto'
import type { Readable } from 'node:stream'
import { PutObjectCommand, type PutObjectCommandInput, type S3Client } from '@aws-sdk/client-s3'
import type { Answer, Answers } from './answers.ts'
import { MOST_REFUSAL_BYTES, textOf } from './bounded.ts'
import { signingTime } from './clock.ts'

/** A key that is recognizable in a path. */
const MARK = 'key'

/** An SDK request before it is signed. */
interface Unsigned {
  readonly method: string
  readonly protocol: string
  readonly hostname: string
  readonly port?: number
  readonly path: string
  readonly query: Record<string, string>
  readonly headers: Record<string, string>
  readonly body?: unknown
}

/** What is put; only with properties that every service takes in headers of the same name. */
export type SmallPut = Pick<
  PutObjectCommandInput,
  'Key' | 'ContentType' | 'IfMatch' | 'IfNoneMatch' | 'ChecksumSHA256'
> & { readonly Body: Buffer }

type Signer = Awaited<ReturnType<S3Client['config']['signer']>>

/**
 * Where the SDK sends the objects of a bucket, and how it signs them. Sending directly skips the layers in between,
 * which take more time than a small object.
 */
export class Route {
  readonly #s3: S3Client
  readonly #signer: Signer
  readonly #sample: Unsigned
  readonly #answers: Answers

  private constructor(s3: S3Client, signer: Signer, sample: Unsigned, answers: Answers) {
    this.#s3 = s3
    this.#signer = signer
    this.#sample = sample
    this.#answers = answers
  }

  /** @returns `null` if requests are not signed with a key (S3 Express, several regions at once). */
  static async find(s3: S3Client, bucket: string, answers: Answers): Promise<Route | null> {
    let sample: Unsigned | undefined
    let scheme: Parameters<S3Client['config']['signer']>[0]
    const command = new PutObjectCommand({ Bucket: bucket, Key: MARK, Body: Buffer.alloc(0) })
    command.middlewareStack.add(
      (_, context) => async (args) => {
        sample = withoutTries(args.request as Unsigned)
        scheme = context.endpointV2?.properties?.authSchemes?.[0] as typeof scheme
        return { response: {}, output: { $metadata: {} } }
      },
      { step: 'finalizeRequest', priority: 'high', name: 'findRoute' },
    )
    await s3.send(command)
    if (scheme?.name !== 'sigv4' || !sample?.path.endsWith(`/${MARK}`)) return null
    return new Route(s3, await s3.config.signer(scheme), sample, answers)
  }

  /**
   * @param sha256 Of the body, in hex. @default it is computed
   * @returns The etag.
   * @throws What the SDK throws.
   */
  async put(input: SmallPut, sha256: string | undefined, signal: AbortSignal): Promise<string | undefined> {
    const signingDate = new Date(signingTime(this.#s3))
    const request = await this.#signer.sign(this.#requestFor(input, sha256) as never, { signingDate })
    const { response } = await this.#s3.config.requestHandler.handle(request as never, { abortSignal: signal })
    const answer = response as Answer & { readonly body: Readable }
    const text = await textOf(answer.body, MOST_REFUSAL_BYTES, answer)
    if (answer.statusCode >= 300 || text.includes('<Error>'))
      throw this.#answers.refused(failureOf(answer, text), answer)
    const { etag } = answer.headers
    this.#answers.accept('PutObjectCommand', answer, { ETag: etag })
    return etag
  }

  #requestFor(input: SmallPut, sha256: string | undefined): Unsigned {
    const { method, protocol, hostname, port, path, query, headers } = this.#sample
    const { Key = '', Body, ContentType, IfMatch, IfNoneMatch, ChecksumSHA256 } = input
    return {
      method,
      protocol,
      hostname,
      ...(port !== undefined && { port }),
      path: path.slice(0, -MARK.length) + Key.split('/').map(escaped).join('/'),
      query: { ...query },
      headers: {
        ...headers,
        'content-length': String(Body.byteLength),
        'x-amz-content-sha256': sha256 ?? hash('sha256', Body),
        ...(ContentType !== undefined && { 'content-type': ContentType }),
        ...(IfMatch !== undefined && { 'if-match': IfMatch }),
        ...(IfNoneMatch !== undefined && { 'if-none-match': IfNoneMatch }),
        ...(ChecksumSHA256 !== undefined && { 'x-amz-checksum-sha256': ChecksumSHA256 }),
      },
      body: Body,
    }
  }
}

/** Without the SDK's ids of this request and its attempts. */
function withoutTries(request: Unsigned): Unsigned {
  const headers = Object.entries(request.headers).filter(([name]) => !name.startsWith('amz-sdk-'))
  return { ...request, headers: Object.fromEntries(headers) }
}

/** RFC 3986: the reserved characters that encodeURIComponent() leaves must be escaped when signed. */
function escaped(segment: string): string {
  return encodeURIComponent(segment).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
}

/** The error that the SDK makes of a response. */
function failureOf({ statusCode, headers }: Answer, text: string): Error {
  const Code = /<Code>([^<]+)<\/Code>/.exec(text)?.[1]
  const name = Code ?? 'UnknownError'
  const message = /<Message>([^<]*)<\/Message>/.exec(text)?.[1] ?? name
  // An error inside a 200 is the service's fault.
  const httpStatusCode = statusCode === 200 ? 503 : statusCode
  const requestId = headers['x-amz-request-id']
  const $metadata = { httpStatusCode, ...(requestId !== undefined && { requestId }) }
  return Object.assign(new Error(message), { name, Code, $metadata, $response: { headers } })
}
