import type { ClientRequest, IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import {
  type GetOptions,
  type GetResult,
  type ListOptions,
  type PutOptions,
  type Stat,
  StorageError,
} from '@stored/core/backend'
import { slowed } from '../src/slow.ts'
import { collect } from '../src/source.ts'
import { once } from '../src/subject.ts'
import { type Exchange, HttpBackend, type HttpBackendOptions } from './http-backend.ts'
import type { Upload } from './http-upload.ts'

/** A driver with one fault that shows only on the network. */
export interface HttpMutant {
  readonly name: string
  readonly fault: string
  /** The cases that must fail. */
  readonly killedBy: readonly string[]
  readonly Backend: new (options: HttpBackendOptions) => HttpBackend
}

class BuffersAll extends HttpBackend {
  override async put(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat> {
    return super.put(key, once(await collect(body)), options)
  }
}

class BuffersSlowly extends HttpBackend {
  override async put(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat> {
    return super.put(key, once(await collect(slowed(body, 40 << 20, options.signal))), options)
  }
}

class RetriesDrained extends HttpBackend {
  override async put(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat> {
    const { size: _, ...rest } = options
    return super.put(key, body, options).catch((error) => {
      return error.code === 'UNAVAILABLE' ? super.put(key, body, rest) : Promise.reject(error)
    })
  }
}

class SendsAgain extends HttpBackend {
  override async put(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat> {
    const bytes = await collect(body)
    return super.put(key, once(bytes), options).catch((error) => {
      return error.ambiguous ? super.put(key, once(bytes), options) : Promise.reject(error)
    })
  }
}

class CleanEndOnCut extends HttpBackend {
  protected override body(response: IncomingMessage, exchange: Exchange): AsyncIterableIterator<Uint8Array> {
    const body = super.body(response, exchange)
    const next = () => body.next().catch(() => ({ done: true as const, value: undefined }))
    return { ...body, next }
  }
}

class ResumesBlindly extends HttpBackend {
  override async get(key: string, options: GetOptions): Promise<GetResult> {
    const { stat, body } = await super.get(key, options)
    const rest = async (offset: number) => (await super.get(key, { ...options, offset })).body
    return { stat: { key, size: stat.size }, body: resumed(body, rest) }
  }
}

class ShortList extends HttpBackend {
  override async *list(options: ListOptions): AsyncGenerator<Stat, void, void> {
    try {
      yield* super.list(options)
    } catch (error) {
      if (!StorageError.is(error) || error.code !== 'UNAVAILABLE') throw error
    }
  }
}

class PlainNo extends HttpBackend {
  protected override broken(error: unknown, exchange: Exchange, upload: Upload | undefined): StorageError {
    const { code, at, cause } = super.broken(error, exchange, upload)
    return new StorageError(code, at, { cause })
  }
}

class RefusedAsAbsent extends HttpBackend {
  override stat(key: string, options: GetOptions): Promise<Stat | null> {
    return super.stat(key, options).catch((error) => (error.code === 'UNAVAILABLE' ? null : Promise.reject(error)))
  }
}

class BelievesPages extends HttpBackend {
  protected override isOurs(): boolean {
    return true
  }
}

class BelievesRefusals extends HttpBackend {
  protected override isOurs(response: IncomingMessage): boolean {
    return super.isOurs(response) || (response.statusCode ?? 0) >= 400
  }
}

class BelievesSuccesses extends HttpBackend {
  protected override isOurs(response: IncomingMessage): boolean {
    return super.isOurs(response) || (response.statusCode ?? 0) < 300
  }
}

class OneConnection extends HttpBackend {
  #socket: Socket | undefined
  protected override dial(...[exchange, agent]: Parameters<HttpBackend['dial']>): ClientRequest {
    if (this.#socket?.destroyed) throw new StorageError('UNAVAILABLE', exchange.at)
    return super.dial(exchange, agent).once('socket', (socket) => {
      this.#socket ??= socket
    })
  }
}

class IgnoresSignal extends HttpBackend {
  protected override dial(...[exchange, agent]: Parameters<HttpBackend['dial']>): ClientRequest {
    return super.dial({ ...exchange, signal: new AbortController().signal }, agent)
  }
}

class KnocksAgain extends HttpBackend {
  protected override failure(response: IncomingMessage, exchange: Exchange): StorageError {
    const { 'retry-after': _, ...headers } = response.headers
    return super.failure(Object.assign(response, { headers }), exchange)
  }
}

class FullIsInternal extends HttpBackend {
  protected override failure(response: IncomingMessage, exchange: Exchange): StorageError {
    return response.statusCode === 507 ? new StorageError('INTERNAL', exchange.at) : super.failure(response, exchange)
  }
}

class NoBucketIsNotFound extends HttpBackend {
  protected override failure(response: IncomingMessage, exchange: Exchange): StorageError {
    return response.statusCode === 404 ? new StorageError('NOT_FOUND', exchange.at) : super.failure(response, exchange)
  }
}

class DeadlineForAll extends HttpBackend {
  override get(key: string, options: GetOptions): Promise<GetResult> {
    return super.get(key, { ...options, signal: AbortSignal.any([options.signal, AbortSignal.timeout(1_000)]) })
  }
}

class DeniedIsBad extends HttpBackend {
  protected override failure(response: IncomingMessage, exchange: Exchange): StorageError {
    if (response.statusCode === 403) return new StorageError('UNAUTHENTICATED', exchange.at)
    return response.statusCode === 401
      ? new StorageError('PERMISSION_DENIED', exchange.at)
      : super.failure(response, exchange)
  }
}

class KeepsToken extends HttpBackend {
  constructor({ token, ...rest }: HttpBackendOptions) {
    super({ ...rest, token: typeof token === 'string' ? token : String(token()) })
  }
}

/** A Credential's secret is left out of every error, so this one reads the token itself. */
class HoldsToken extends HttpBackend {
  readonly #token: HttpBackendOptions['token']
  constructor(options: HttpBackendOptions) {
    super(options)
    this.#token = options.token
  }
  protected override async signedIn<R>(send: (token: string) => Promise<R>): Promise<R> {
    return send(typeof this.#token === 'function' ? await this.#token() : this.#token)
  }
}

class TellsToken extends HoldsToken {
  protected override broken(cause: unknown, exchange: Exchange, upload: Upload | undefined): StorageError {
    const { code, at, ambiguous } = super.broken(cause, exchange, upload)
    return new StorageError(code, at, { ambiguous, cause, detail: `with ${JSON.stringify(tokenOf(exchange))}` })
  }
}

class BelievesEcho extends HoldsToken {
  protected override isOurs(): boolean {
    return true
  }
  protected override failure({ headers }: IncomingMessage, { at }: Exchange): StorageError {
    return new StorageError('UNAVAILABLE', at, { detail: `it says ${headers['x-message']}`.replace('Bearer', '') })
  }
}

export const httpMutants: readonly HttpMutant[] = [
  of('buffers-all', 'a body is read to its end before the first byte is sent', BuffersAll, ['bp.put']),
  of('buffers-slowly', 'the same, at the pace of a disk', BuffersSlowly, ['bp.put']),
  of('retries-drained', 'what is left of a body is sent again after a break', RetriesDrained, [
    'ft.replay',
    'ft.cut-put',
  ]),
  of('sends-again', 'a put without an answer is sent again, condition and all', SendsAgain, ['cw.lost-reply']),
  of('clean-end-on-cut', 'a body that breaks just ends', CleanEndOnCut, ['ft.cut-get']),
  of('resumes-blindly', 'a body that breaks goes on in whatever is there now', ResumesBlindly, ['ft.cut-get-changed']),
  of('short-list', 'a listing that breaks just ends', ShortList, ['ft.cut-list', 'ft.refused']),
  of('plain-no', 'a put without an answer is a plain failure', PlainNo, ['ft.cut-reply', 'cw.lost-reply']),
  of('refused-as-absent', 'what cannot be reached is not there', RefusedAsAbsent, ['ft.refused']),
  of('believes-pages', 'whatever answers is the server', BelievesPages, ['ft.page']),
  of('believes-refusals', 'whatever refuses is the server', BelievesRefusals, ['ft.page']),
  of('believes-successes', 'whatever agrees is the server', BelievesSuccesses, ['ft.page']),
  of('one-connection', 'it is connected once and for all', OneConnection, ['ft.restart']),
  of('ignores-signal', 'a request goes on after its abort', IgnoresSignal, ['ft.stall-put', 'ft.stall-get']),
  of('knocks-again', 'Retry-After is not read', KnocksAgain, ['ft.throttled']),
  of('full-is-internal', 'a full server is a mystery', FullIsInternal, ['ft.no-space']),
  of('deadline-for-all', 'a call has a timeout for the whole of it', DeadlineForAll, ['ft.slow-alive']),
  of('no-bucket-is-not-found', 'a bucket that is not there is a blob that is not', NoBucketIsNotFound, [
    'au.no-container',
  ]),
  of('denied-is-bad', '401 and 403 are confused', DeniedIsBad, [
    'au.bad',
    'au.deny-read',
    'au.deny-write',
    'au.deny-list',
  ]),
  of('keeps-token', 'the function that gives the token is called once', KeepsToken, ['au.rotate']),
  of('secret-in-error', 'an error tells the token', TellsToken, ['au.no-secret']),
  of('echo-in-error', 'an error tells what the server says', BelievesEcho, ['au.echo']),
]

function of(
  name: string,
  fault: string,
  Backend: new (options: HttpBackendOptions) => HttpBackend,
  killedBy: readonly string[],
): HttpMutant {
  return { name, fault, killedBy, Backend }
}

function tokenOf({ headers = {} }: Exchange): string {
  return String(headers.authorization).replace('Bearer ', '')
}

async function* resumed(
  body: AsyncIterable<Uint8Array>,
  rest: (offset: number) => Promise<AsyncIterable<Uint8Array>>,
): AsyncGenerator<Uint8Array, void, undefined> {
  let offset = 0
  try {
    for await (const chunk of body) {
      offset += chunk.byteLength
      yield chunk
    }
  } catch {
    yield* await rest(offset)
  }
}
