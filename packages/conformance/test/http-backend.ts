import { Agent, type ClientRequest, type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http'
import {
  type Capabilities,
  Credential,
  checkKey,
  type DeleteOptions,
  type ErrorLocation,
  type GetOptions,
  type GetResult,
  type ListOptions,
  mapHttp,
  type Op,
  type PutOptions,
  type Secret,
  type Stat,
  StorageBackend,
  StorageError,
  toStorageError,
} from '@stored/core/backend'
import type { Endpoint } from '../src/index.ts'
import { MARK } from './http-server.ts'
import { Upload } from './http-upload.ts'

export interface HttpBackendOptions {
  readonly endpoint: Endpoint
  readonly token: Secret<string>
  /** @default 'bucket' */
  readonly bucket?: string
}

export interface Exchange {
  readonly method: string
  readonly path: string
  readonly headers?: Readonly<Record<string, string | number>>
  readonly at: ErrorLocation
  readonly signal: AbortSignal
}

/** Blobs on an `HttpServer`: a typical driver, for the kit's own tests. */
export class HttpBackend extends StorageBackend {
  readonly name = 'http'
  readonly capabilities: Capabilities = Object.freeze({
    contract: 1,
    range: true,
    ifAbsent: true,
    ifMatch: true,
    order: true,
    startAfter: true,
    contentType: true,
    metadata: true,
    checksums: Object.freeze(['sha256'] as const),
    etag: 'strong',
  })
  readonly #endpoint: Endpoint
  readonly #bucket: string
  readonly #credential: Credential<string>
  readonly #agent = new Agent({ keepAlive: true })
  readonly #requests = new Set<ClientRequest>()
  #closed = false

  constructor({ endpoint, token, bucket = 'bucket' }: HttpBackendOptions) {
    super()
    this.#endpoint = endpoint
    this.#bucket = bucket
    this.#credential = new Credential(token)
  }

  override async open({ signal = new AbortController().signal }: { signal?: AbortSignal }): Promise<void> {
    await this.#page({ prefix: '', hint: 1, signal }, undefined)
  }

  async put(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat> {
    const exchange = { ...this.#object('PUT', 'put', key, options), headers: putHeaders(options) }
    const response = await this.call(exchange, new Upload(body))
    response.resume()
    return statOf(key, response.headers)
  }

  async get(key: string, options: GetOptions): Promise<GetResult> {
    const { offset, length, ifMatch } = options
    const last = length === undefined ? '' : (offset ?? 0) + length - 1
    const headers = {
      ...((offset !== undefined || length !== undefined) && { range: `bytes=${offset ?? 0}-${last}` }),
      ...(ifMatch !== undefined && { 'if-match': ifMatch }),
    }
    const exchange = { ...this.#object('GET', 'get', key, options), headers }
    const response = await this.call(exchange)
    return { stat: statOf(key, response.headers), body: this.body(response, exchange) }
  }

  async stat(key: string, options: Op): Promise<Stat | null> {
    try {
      const response = await this.call(this.#object('HEAD', 'stat', key, options))
      response.resume()
      return statOf(key, response.headers)
    } catch (error) {
      if (StorageError.is(error) && error.code === 'NOT_FOUND') return null
      throw error
    }
  }

  async delete(key: string, options: DeleteOptions): Promise<void> {
    const headers: Record<string, string> = options.ifMatch === undefined ? {} : { 'if-match': options.ifMatch }
    const response = await this.call({ ...this.#object('DELETE', 'delete', key, options), headers })
    response.resume()
  }

  async *list(options: ListOptions): AsyncGenerator<Stat, void, void> {
    let after = options.startAfter
    while (true) {
      const { objects, more } = await this.#page(options, after)
      for (const { key, ...fields } of objects) {
        options.signal.throwIfAborted()
        yield statOf(key, fields)
        after = key
      }
      if (!more) return
    }
  }

  override async close(): Promise<void> {
    this.#closed = true
    for (const request of this.#requests) request.destroy(this.#closedError({ op: 'close' }))
    this.#agent.destroy()
  }

  #object(method: string, op: string, key: string, { signal }: Op): Exchange {
    const at = { backend: this.name, op, key }
    checkKey(key, at)
    return { method, path: `/${this.#bucket}/o/${encodeURIComponent(key)}`, at, signal }
  }

  async #page({ prefix, hint, signal }: ListOptions, after: string | undefined): Promise<Page> {
    const query = new URLSearchParams({
      prefix,
      ...(after !== undefined && { after }),
      ...(hint !== undefined && { limit: String(hint) }),
    })
    const path = `/${this.#bucket}/list?${query}`
    const exchange = { method: 'GET', path, at: { backend: this.name, op: 'list' }, signal }
    const response = await this.call(exchange)
    const chunks = await Array.fromAsync(this.body(response, exchange))
    return JSON.parse(String(Buffer.concat(chunks)))
  }

  /** One exchange with the token; another one with a new token, if it is refused before the body has begun. */
  protected call(exchange: Exchange, upload?: Upload): Promise<IncomingMessage> {
    const send = async (token: string): Promise<IncomingMessage> => {
      const headers = { ...exchange.headers, authorization: `Bearer ${token}` }
      const response = await this.send({ ...exchange, headers }, upload)
      const { statusCode = 0 } = response
      const isOurs = this.isOurs(response)
      if (isOurs && statusCode < 300) return response
      if (upload) response.destroy()
      else response.resume()
      if (isOurs) throw this.failure(response, exchange)
      const ambiguous = statusCode < 300 || statusCode >= 500
      throw new StorageError('UNAVAILABLE', exchange.at, { detail: `a page, ${statusCode}`, ambiguous })
    }
    return this.signedIn(send, () => !upload?.begun)
  }

  /** @param again Whether a call may be repeated with another token. */
  protected signedIn<R>(send: (token: string) => Promise<R>, again: () => boolean): Promise<R> {
    return this.#credential.use(send, { again })
  }

  /** A page in place of the server says nothing about a blob. Any server may say that a request is too large. */
  protected isOurs({ headers, statusCode = 0 }: IncomingMessage): boolean {
    return MARK in headers || [413, 414, 431].includes(statusCode)
  }

  protected async send(exchange: Exchange, upload: Upload | undefined): Promise<IncomingMessage> {
    const request = this.dial(exchange, this.#agent)
    try {
      return await answerTo(request, upload)
    } catch (error) {
      // The server may have closed a pooled connection in the meantime: that says nothing about this request.
      const stale = request.reusedSocket && !upload?.begun && !exchange.signal.aborted && !this.#closed
      if (!stale) throw this.broken(error, exchange, upload)
    }
    try {
      return await answerTo(this.dial(exchange, false), upload)
    } catch (error) {
      throw this.broken(error, exchange, upload)
    }
  }

  protected dial({ method, path, headers = {}, at, signal }: Exchange, agent: Agent | false): ClientRequest {
    signal.throwIfAborted()
    if (this.#closed) throw this.#closedError(at)
    const dialled = request({ ...this.#endpoint, method, path, headers, agent })
    const onAbort = (): void => void dialled.destroy(signal.reason)
    signal.addEventListener('abort', onAbort)
    this.#requests.add(dialled)
    dialled.on('error', () => {}) // the waiter reports errors; this is for one without a waiter
    dialled.once('close', () => {
      signal.removeEventListener('abort', onAbort)
      this.#requests.delete(dialled)
    })
    return dialled
  }

  #closedError(at: ErrorLocation): StorageError {
    return new StorageError('CLOSED', { ...at, backend: this.name })
  }

  /** Not a generator: one that is left before its first step frees nothing. */
  protected body(response: IncomingMessage, exchange: Exchange): AsyncIterableIterator<Uint8Array> {
    response.on('error', () => {}) // the iterator reports it
    const chunks = response[Symbol.asyncIterator]() as AsyncIterator<Uint8Array, undefined>
    return {
      [Symbol.asyncIterator]() {
        return this
      },
      next: () =>
        chunks.next().catch((error) => {
          throw this.broken(error, exchange, undefined)
        }),
      async return() {
        response.destroy()
        return { done: true, value: undefined }
      },
    }
  }

  /** The error of a request without a response. */
  protected broken(error: unknown, { at, method, signal }: Exchange, upload: Upload | undefined): StorageError {
    if (upload?.failed || StorageError.is(error)) return toStorageError(error, at, signal)
    const ambiguous = upload ? upload.sent : method === 'DELETE'
    if (signal.aborted) return new StorageError('ABORTED', at, { cause: signal.reason, ambiguous })
    return new StorageError('UNAVAILABLE', at, { cause: error, detail: 'the connection broke', ambiguous })
  }

  /** The error for an unsuccessful response. */
  protected failure({ statusCode = 0, headers }: IncomingMessage, exchange: Exchange): StorageError {
    const { at } = exchange
    const retryAfter = headers['retry-after'] ?? null
    if (headers['x-error'] === 'NoSuchBucket')
      return new StorageError('MISCONFIGURED', at, { detail: 'there is no such bucket' })
    if (statusCode === 412 && exchange.headers?.['if-none-match']) return new StorageError('ALREADY_EXISTS', at)
    if (statusCode === 422) return new StorageError('CHECKSUM_MISMATCH', at)
    // With a Retry-After it is not down, but asked too often.
    return mapHttp(statusCode === 503 && retryAfter !== null ? 429 : statusCode, at, { retryAfter })
  }
}

interface Page {
  readonly objects: readonly ({ readonly key: string } & Record<string, string>)[]
  readonly more: boolean
}

async function answerTo(request: ClientRequest, upload: Upload | undefined): Promise<IncomingMessage> {
  const answer = new Promise<IncomingMessage>((resolve, reject) => {
    request.once('response', resolve)
    request.once('error', reject)
    request.once('close', () => reject(new Error('the connection was closed')))
  })
  answer.catch(() => {}) // not waited for when the body fails first
  if (upload === undefined) request.end()
  else await upload.to(request, answer)
  return answer
}

export function putHeaders(options: PutOptions): Record<string, string | number> {
  const { size, sha256, ifAbsent, ifMatch, contentType, metadata } = options
  return {
    expect: '100-continue',
    ...(size !== undefined && { 'content-length': size }),
    ...(sha256 !== undefined && { 'x-sha256': sha256 }),
    ...(ifAbsent && { 'if-none-match': '*' }),
    ...(ifMatch !== undefined && { 'if-match': ifMatch }),
    ...(contentType !== undefined && { 'content-type': contentType }),
    ...(metadata !== undefined && { 'x-metadata': encodeURIComponent(JSON.stringify(metadata)) }),
  }
}

export function statOf(key: string, fields: IncomingHttpHeaders): Stat {
  const { etag, 'x-size': size, 'x-modified': modified, 'x-sha256': sha256 } = fields
  const { 'content-type': contentType, 'x-metadata': metadata } = fields
  return {
    key,
    size: Number(size),
    modified: Number(modified),
    ...(etag !== undefined && { etag }),
    ...(sha256 !== undefined && { checksums: { sha256: String(sha256) } }),
    ...(contentType !== undefined && { contentType }),
    ...(metadata !== undefined && { metadata: JSON.parse(decodeURIComponent(String(metadata))) }),
  }
}
