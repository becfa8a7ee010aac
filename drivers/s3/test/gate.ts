import { once } from 'node:events'
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'

/** What the gate answers instead of the server. */
export interface Refusal {
  readonly status: number
  /** The S3 error code. */
  readonly code: string
  readonly headers?: Readonly<Record<string, string>>
}

/** What comes in place of the server, for every request. */
export interface Page {
  readonly status: number
  readonly html: string
  readonly headers?: Readonly<Record<string, string>>
}

/** A request that passes through. */
export interface Passing {
  readonly method: string
  /** Including the query. */
  readonly path: string
}

/** A request without its body. */
export interface Translated extends Passing {
  readonly headers: IncomingHttpHeaders
}

/** An HTTP proxy in front of an S3 server, which may answer in its place. Bodies pass unchanged. */
export class Gate implements AsyncDisposable {
  /** Called for each request; `null` lets it pass. A promise holds it back. */
  judge: (passing: Passing) => Refusal | Page | null | Promise<Refusal | Page | null> = () => null
  /** The request to forward instead; `null` refuses it for its signature. */
  translate: (request: Translated) => Translated | null = (request) => request
  readonly passed: Passing[] = []
  readonly #target: URL
  readonly #server: Server

  private constructor(target: URL) {
    this.#target = target
    this.#server = createServer((from, to) => void this.#serve(from, to).catch(() => to.destroy()))
  }

  static async start(target: string): Promise<Gate> {
    const gate = new Gate(new URL(target))
    gate.#server.listen(0, '127.0.0.1')
    await once(gate.#server, 'listening')
    gate.#server.unref()
    return gate
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Refuses this many requests as too many, and asks to wait. */
  refuse(requests: number, retryAfterMs: number): void {
    let left = requests
    const headers = { 'retry-after': String(Math.ceil(retryAfterMs / 1000)) }
    this.judge = () => (left-- > 0 ? { status: 503, code: 'SlowDown', headers } : null)
  }

  /** Answers every request like a broken server. @returns A function that repairs it. */
  break(): () => void {
    const { judge } = this
    this.judge = () => ({ status: 500, code: 'InternalError' })
    return () => {
      this.judge = judge
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  async #serve(from: IncomingMessage, to: ServerResponse): Promise<void> {
    const passing = { method: from.method ?? '', path: from.url ?? '' }
    const refusal = await this.judge(passing)
    if (refusal) return this.#refuse(from, to, refusal)
    const translated = this.translate({ ...passing, headers: from.headers })
    if (translated === null) return this.#refuse(from, to, { status: 403, code: 'SignatureDoesNotMatch' })
    this.passed.push(passing)
    const { hostname, port } = this.#target
    const forward = request({ hostname, port, ...translated })
    from.pipe(forward)
    to.once('close', () => forward.destroy())
    const [answer] = (await once(forward, 'response')) as [IncomingMessage]
    to.writeHead(answer.statusCode ?? 500, answer.headers)
    answer.pipe(to)
    answer.once('error', () => to.destroy())
    // A server that refuses a request may not read its body to the end.
    forward.on('error', () => {})
    forward.once('close', () => from.unpipe(forward).resume())
  }

  #refuse(from: IncomingMessage, to: ServerResponse, said: Refusal | Page): void {
    from.resume()
    const isPage = 'html' in said
    to.writeHead(said.status, { 'content-type': isPage ? 'text/html' : 'application/xml', ...said.headers })
    const body = isPage ? said.html : `<Error><Code>${said.code}</Code><Message>refused by the gate</Message></Error>`
    to.end(from.method === 'HEAD' ? undefined : body)
  }
}
