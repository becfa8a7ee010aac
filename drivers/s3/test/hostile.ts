import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'
import { S3Backend, type S3BackendOptions } from '../src/index.ts'

/** More than any client should read. */
const ENOUGH_BYTES = 128 << 20

export type Answering = (request: IncomingMessage, response: ServerResponse) => void

/** A malicious server. To `open` it looks like a plain S3 that evaluates no conditions. */
export class HostileServer {
  answer: Answering = honest
  /** Bytes of bodies that were read from it. */
  sent = 0
  readonly #server: Server

  private constructor() {
    this.#server = createServer((request, response) => {
      request.resume().once('end', () => {
        response.setHeader('x-amz-request-id', '1')
        this.answer(request, response)
      })
    })
  }

  static async start(): Promise<HostileServer> {
    const hostile = new HostileServer()
    hostile.#server.listen(0, '127.0.0.1')
    await once(hostile.#server, 'listening')
    onTestFinished(() => {
      hostile.#server.closeAllConnections()
      hostile.#server.close()
    })
    return hostile
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** A backend that was opened while the server behaved. */
  async backend(options: Partial<S3BackendOptions> = {}): Promise<S3Backend> {
    const keys = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' }
    const { endpoint } = this
    const backend = new S3Backend({ bucket: 'bucket', endpoint, ...(!options.credentials && keys), ...options })
    onTestFinished(() => backend.close())
    await backend.open({ log: () => {} })
    return backend
  }

  /** Sends `head`, then `more` over and over for as long as it is read; a test that lets this go on has failed. */
  endlessly(response: ServerResponse, status: number, head: string, more: string): void {
    const piece = more.repeat(Math.ceil((64 << 10) / more.length))
    const flow = (): void => {
      while (!response.destroyed) {
        if (this.sent > ENOUGH_BYTES) return void response.end()
        this.sent += piece.length
        if (!response.write(piece)) return void response.once('drain', () => setImmediate(flow))
      }
    }
    response.writeHead(status, { 'content-type': 'application/xml', etag: '"1"' }).write(head)
    flow()
  }
}

function honest(_: IncomingMessage, response: ServerResponse): void {
  response.setHeader('etag', '"1"').end()
}
