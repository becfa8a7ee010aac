import { once } from 'node:events'
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'

/** Where a server listens. */
export interface Endpoint {
  readonly host: string
  readonly port: number
}

/** `up`: from client to server · `down`: from server to client. */
export type Direction = 'up' | 'down'

/** The response in place of the server's: `html` is left out where HTTP allows no body. */
export interface Page {
  readonly status: number
  readonly html: string
  readonly headers?: Readonly<Record<string, string>>
}

/** Answers with the request: its first line and its header fields, one per line. */
export type Echo = (asked: string) => Page

/** A fault that waits for a certain byte. */
interface Trap {
  readonly kind: 'cut' | 'flip'
  /** How many bytes still pass before it. */
  left: number
}

/** One direction of all connections together: bytes are counted across them. */
class Lane {
  trap: Trap | undefined
  stalled = false
  /** Bytes per second. */
  rate = Number.POSITIVE_INFINITY
}

/**
 * A TCP proxy that damages the traffic through it. It listens on its own port of 127.0.0.1 and knows nothing about the
 * protocol. A fault holds from when it is requested until it has struck (`cutAfter`, `flip`) or until `heal`.
 */
export class ChaosProxy implements AsyncDisposable {
  /** How many connections were accepted, except refused ones. */
  connections = 0
  /** Bytes that arrived, by direction. */
  readonly bytes: Record<Direction, number> = { up: 0, down: 0 }
  readonly #target: Endpoint
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  /** Never listens: it is handed the connections that get a page. */
  readonly #pages = createHttpServer((request, response) => this.#showPage(request, response))
  readonly #lanes: Record<Direction, Lane> = { up: new Lane(), down: new Lane() }
  readonly #closed = new AbortController()
  #healed = Promise.withResolvers<void>()
  #refusing = false
  #page: Page | Echo | undefined

  private constructor(target: Endpoint) {
    this.#target = target
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#accept(client))
  }

  /** Starts a proxy in front of `target`. */
  static async start(target: Endpoint): Promise<ChaosProxy> {
    const proxy = new ChaosProxy(target)
    proxy.#server.listen(0, '127.0.0.1')
    await once(proxy.#server, 'listening')
    return proxy
  }

  /** Where clients connect to. */
  get endpoint(): Endpoint {
    return { host: '127.0.0.1', port: (this.#server.address() as AddressInfo).port }
  }

  /** Lets `bytes` more pass, then drops the connection on which the next one arrives. Strikes once. */
  cutAfter(bytes: number, direction: Direction): void {
    this.#lanes[direction].trap = { kind: 'cut', left: bytes }
  }

  /** Changes the last bit of the byte that arrives after `bytes` more. Strikes once. */
  flip(bytes: number, direction: Direction): void {
    this.#lanes[direction].trap = { kind: 'flip', left: bytes }
  }

  /** Whether a `cutAfter` or `flip` has struck, or there was none. */
  get struck(): boolean {
    return this.#lanes.up.trap === undefined && this.#lanes.down.trap === undefined
  }

  /** Lets nothing pass; connections stay open. @param direction @default both */
  stall(direction?: Direction): void {
    for (const name of direction ? [direction] : DIRECTIONS) this.#lanes[name].stalled = true
  }

  /** Drops every connection, and each new one at once. */
  refuse(): void {
    this.#refusing = true
    this.drop()
  }

  /** Drops every connection. New ones are let through. */
  drop(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  /**
   * Drops every connection, and answers every request on new ones with `page`, like a network's login page. Anything
   * but HTTP gets an HTTP error.
   *
   * @param page Or a function that makes one from the request.
   */
  show(page: Page | Echo): void {
    this.#page = page
    this.drop()
  }

  /** Lets this many bytes pass per second, on each connection. @param direction @default both */
  throttle(bytesPerSecond: number, direction?: Direction): void {
    for (const name of direction ? [direction] : DIRECTIONS) this.#lanes[name].rate = bytesPerSecond
  }

  /** Ends every fault. Stalled traffic continues. */
  heal(): void {
    this.#refusing = false
    // Connections that got the page would get it again.
    if (this.#page !== undefined) this.drop()
    this.#page = undefined
    for (const name of DIRECTIONS) Object.assign(this.#lanes[name], new Lane())
    this.#healed.resolve()
    this.#healed = Promise.withResolvers()
  }

  /** Drops every connection and stops listening. Safe to repeat. */
  async close(): Promise<void> {
    this.#closed.abort()
    this.drop()
    this.#healed.resolve()
    if (!this.#server.listening) return
    const closed = once(this.#server, 'close')
    this.#server.close()
    await closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #accept(client: Socket): void {
    if (this.#refusing) {
      client.destroy()
      return
    }
    this.connections += 1
    if (this.#page !== undefined) {
      this.#sockets.add(client)
      client.once('close', () => this.#sockets.delete(client))
      this.#pages.emit('connection', client)
      return
    }
    const server = connect({ ...this.#target, allowHalfOpen: true, noDelay: true })
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(socket)
      // An error on one side is passed on as the end of the other.
      socket.on('error', () => other.destroy())
      socket.once('close', () => {
        this.#sockets.delete(socket)
        if (!socket.readableEnded) other.destroy()
      })
    }
    void this.#carry(client, server, 'up')
    void this.#carry(server, client, 'down')
  }

  #showPage(request: IncomingMessage, response: ServerResponse): void {
    const page = this.#page ?? { status: 502, html: '' }
    const { status, html, headers } = typeof page === 'function' ? page(askedOf(request)) : page
    request.resume()
    response.writeHead(status, { 'content-type': 'text/html', ...headers })
    response.end(request.method === 'HEAD' ? undefined : html)
  }

  async #carry(from: Socket, to: Socket, direction: Direction): Promise<void> {
    try {
      for await (const chunk of from as AsyncIterable<Buffer>) {
        this.bytes[direction] += chunk.byteLength
        if (!(await this.#pass(chunk, to, direction))) return
      }
      if (!to.destroyed) to.end()
    } catch {
      // The socket was destroyed; whatever destroyed it has handled the other side.
    } finally {
      if (to.destroyed) from.destroy()
    }
  }

  /** @returns Whether the connection continues. */
  async #pass(chunk: Buffer, to: Socket, direction: Direction): Promise<boolean> {
    const lane = this.#lanes[direction]
    while (lane.stalled && !this.#closed.signal.aborted) await this.#healed.promise
    const trap = lane.trap
    if (trap !== undefined && trap.left < chunk.byteLength) {
      lane.trap = undefined
      if (trap.kind === 'cut') return this.#cut(chunk.subarray(0, trap.left), to)
      chunk.writeUInt8(chunk.readUInt8(trap.left) ^ 1, trap.left)
    } else if (trap !== undefined) trap.left -= chunk.byteLength
    for (let at = 0; at < chunk.byteLength; ) {
      const { rate } = lane
      // A tenth of a second's bytes at a time.
      const piece = chunk.subarray(at, at + Math.max(1, Math.floor(rate / 10)))
      if (rate !== Number.POSITIVE_INFINITY) await this.#pause((piece.byteLength / rate) * 1000)
      await write(to, piece)
      at += piece.byteLength
    }
    return true
  }

  async #cut(last: Buffer, to: Socket): Promise<false> {
    if (last.byteLength > 0) await write(to, last)
    to.destroySoon()
    return false
  }

  async #pause(ms: number): Promise<void> {
    await wait(ms, undefined, { signal: this.#closed.signal })
  }
}

const DIRECTIONS: readonly Direction[] = ['up', 'down']

function askedOf({ method, url, rawHeaders }: IncomingMessage): string {
  const fields = rawHeaders.flatMap((name, i) => (i % 2 === 0 ? [`${name}: ${rawHeaders[i + 1]}`] : []))
  return [`${method} ${url}`, ...fields].join('\n')
}

/** Writes, and waits until there is room for more; rejects if the socket closes first. */
async function write(to: Socket, bytes: Buffer): Promise<void> {
  if (to.destroyed) throw new Error('the other side is closed')
  if (to.write(bytes)) return
  const done = new AbortController()
  try {
    await Promise.race([once(to, 'drain', done), once(to, 'close', done)])
  } finally {
    done.abort()
  }
}
