import { createHash, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { compareKeys } from '@stored/core/backend'
import type { Endpoint } from '../src/index.ts'

interface StoredBlob {
  readonly bytes: Buffer
  /** Sent with it as header fields. */
  readonly fields: Readonly<Record<string, string>>
}

/** The response to a request. */
interface Answer {
  readonly status: number
  readonly fields?: OutgoingHttpHeaders
  readonly body?: Uint8Array | string
}

type Right = 'read' | 'write' | 'list'

/** In every response, so that a page in place of the server can be recognized. */
export const MARK = 'x-http-server'
export const PAGE = 100
const BUCKET = 'bucket'

/**
 * An object store over HTTP, in memory, for the kit's own tests: objects at `/bucket/o/<key>`, a listing in pages at
 * `/bucket/list`, the conditions and ranges of RFC 9110, and a bearer token. It stores in one step, after the last
 * byte. Parts of an object at `/bucket/u/<upload>/<number>` are stored as one by a put that names their upload.
 */
export class HttpServer {
  /** The accepted token; changed by `rotate`. */
  token: string = randomUUID()
  readonly readonlyToken: string = randomUUID()
  readonly blobs = new Map<string, StoredBlob>()
  readonly denied = new Set<Right>()
  /** Parts that arrived, by upload. */
  readonly uploads = new Map<string, Buffer[]>()
  /** How the next requests are refused. */
  busy = { times: 0, status: 503, retryAfter: 0 }
  readonly #server = createServer()
  #quota = Number.POSITIVE_INFINITY
  #version = 0
  #port = 0

  static async start(): Promise<HttpServer> {
    const server = new HttpServer()
    server.#server.on('request', (request, response) => void server.#serve(request, response))
    server.#server.on('checkContinue', (request, response) => void server.#serve(request, response))
    await server.#listen()
    return server
  }

  get endpoint(): Endpoint {
    return { host: '127.0.0.1', port: this.#port }
  }

  rotate(): void {
    this.token = randomUUID()
  }

  /** Leaves room for this many more bytes. */
  limit(bytes: number): void {
    this.#quota = this.#used() + bytes
  }

  async restart(): Promise<void> {
    await this.close()
    await this.#listen()
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.#server.closeAllConnections()
    await closed
  }

  /** Stores a blob, or replaces its bytes. */
  store(key: string, bytes: Buffer, fields: Record<string, string> = {}): StoredBlob {
    this.#version += 1
    const blob = { bytes, fields: { etag: `"${this.#version}"`, 'x-modified': String(Date.now()), ...fields } }
    this.blobs.set(key, blob)
    return blob
  }

  async #listen(): Promise<void> {
    this.#server.listen(this.#port, '127.0.0.1')
    await once(this.#server, 'listening')
    this.#port = (this.#server.address() as AddressInfo).port
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let answer: Answer
    try {
      answer = this.#refusal(request) ?? (await this.#answer(request, response))
    } catch {
      // The request broke off: there is no one to answer, and nothing was stored.
      response.destroy()
      return
    }
    const { status, fields = {}, body = '' } = answer
    const length = request.method === 'HEAD' ? {} : { 'content-length': Buffer.byteLength(body) }
    response
      .writeHead(status, { [MARK]: 'yes', ...fields, ...length })
      .end(request.method === 'HEAD' ? undefined : body)
  }

  #refusal(request: IncomingMessage): Answer | null {
    if (this.busy.times > 0) {
      this.busy.times -= 1
      return { status: this.busy.status, fields: { 'retry-after': String(this.busy.retryAfter) } }
    }
    const token = request.headers.authorization?.replace('Bearer ', '')
    if (token !== this.token && token !== this.readonlyToken) return { status: 401 }
    if (!request.url?.startsWith(`/${BUCKET}/`)) return { status: 404, fields: { 'x-error': 'NoSuchBucket' } }
    const right = rightOf(request)
    return this.denied.has(right) || (right === 'write' && token === this.readonlyToken) ? { status: 403 } : null
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<Answer> {
    const url = request.url ?? ''
    if (url.startsWith(`/${BUCKET}/list`)) return this.#list(new URL(url, 'http://server').searchParams)
    if (url.startsWith(`/${BUCKET}/u/`)) return this.#part(url.split('/').slice(3), request, response)
    const key = decodeURIComponent(url.slice(`/${BUCKET}/o/`.length))
    if (request.method === 'PUT') return this.#put(key, request, response)
    const blob = this.blobs.get(key)
    const ifMatch = request.headers['if-match']
    if (ifMatch !== undefined && blob?.fields.etag !== ifMatch) return { status: 412 }
    if (request.method === 'DELETE') {
      this.blobs.delete(key)
      return { status: 204 }
    }
    return blob === undefined ? { status: 404 } : read(blob, request.headers.range)
  }

  /** Takes a part, or returns the digests of the existing ones. */
  async #part([upload = '', number]: string[], request: IncomingMessage, response: ServerResponse): Promise<Answer> {
    const parts = this.uploads.get(upload) ?? []
    if (number === undefined)
      return { status: 200, body: JSON.stringify(Array.from(parts, (part) => part && sha256(part))) }
    response.writeContinue()
    const part = Buffer.concat(await Array.fromAsync(request as AsyncIterable<Buffer>))
    if (part.byteLength !== Number(request.headers['content-length'])) return { status: 400 }
    parts[Number(number)] = part
    this.uploads.set(upload, parts)
    return { status: 200 }
  }

  async #put(key: string, request: IncomingMessage, response: ServerResponse): Promise<Answer> {
    const { 'content-length': length = '0', 'content-type': type, 'x-metadata': metadata } = request.headers
    if (Number(length) > this.#room(key)) return { status: 507 }
    if (!this.#holds(key, request)) return { status: 412 }
    response.writeContinue()
    const body = await Array.fromAsync(request as AsyncIterable<Buffer>)
    const upload = String(request.headers['x-upload'])
    const bytes = Buffer.concat(this.uploads.get(upload) ?? body)
    if (bytes.byteLength > this.#room(key)) return { status: 507 }
    // Checked again: nothing waits from here to the end, so the conditions and the change are one step.
    if (!this.#holds(key, request)) return { status: 412 }
    const digest = sha256(bytes)
    if ((request.headers['x-sha256'] ?? digest) !== digest) return { status: 422 }
    this.uploads.delete(upload)
    const blob = this.store(key, bytes, {
      'x-sha256': digest,
      ...(type !== undefined && { 'content-type': type }),
      ...(metadata !== undefined && { 'x-metadata': String(metadata) }),
    })
    return { status: 200, fields: fieldsOf(blob) }
  }

  #holds(key: string, { headers }: IncomingMessage): boolean {
    const blob = this.blobs.get(key)
    if (headers['if-none-match'] === '*' && blob !== undefined) return false
    return headers['if-match'] === undefined || headers['if-match'] === blob?.fields.etag
  }

  #room(key: string): number {
    return this.#quota - this.#used(key)
  }

  #used(except?: string): number {
    let used = 0
    for (const [key, { bytes }] of this.blobs) if (key !== except) used += bytes.byteLength
    return used
  }

  #list(query: URLSearchParams): Answer {
    const [prefix, after] = [query.get('prefix') ?? '', query.get('after')]
    const limit = Math.min(PAGE, Number(query.get('limit') ?? PAGE))
    const keys = [...this.blobs.keys()].sort(compareKeys)
    const matching = keys.filter((key) => key.startsWith(prefix) && (after === null || compareKeys(key, after) > 0))
    const objects = matching.slice(0, limit).map((key) => ({ key, ...fieldsOf(this.blobs.get(key) as StoredBlob) }))
    return { status: 200, body: JSON.stringify({ objects, more: matching.length > limit }) }
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function rightOf({ method, url }: IncomingMessage): Right {
  if (url?.startsWith(`/${BUCKET}/list`)) return 'list'
  return method === 'GET' || method === 'HEAD' ? 'read' : 'write'
}

function fieldsOf({ bytes, fields }: StoredBlob): Record<string, string> {
  return { ...fields, 'x-size': String(bytes.byteLength) }
}

/** @see RFC 9110 section 14.2; one range with a first byte is enough here. */
function read(blob: StoredBlob, range: string | undefined): Answer {
  const fields = fieldsOf(blob)
  const [, first, last] = range?.match(/^bytes=(\d+)-(\d*)$/) ?? []
  if (first === undefined) return { status: 200, fields, body: blob.bytes }
  const [from, to] = [Number(first), last ? Number(last) + 1 : blob.bytes.byteLength]
  if (from >= blob.bytes.byteLength) return { status: 416, fields }
  return { status: 206, fields, body: blob.bytes.subarray(from, to) }
}
