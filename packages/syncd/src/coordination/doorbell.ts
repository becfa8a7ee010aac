import { chmodSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { Link } from './link.ts'

export interface DoorbellOptions {
  readonly onRing: () => void
  readonly mode?: number
}

/** The socket of the process that syncs. It hears every ring, passes each on to all the others, and rings them all. */
export class Doorbell {
  readonly #server: Server
  readonly #links = new Set<Link>()
  readonly #onRing: () => void

  /**
   * @param o.onRing Another process committed something, or it is gone and may have.
   * @param o.mode The mode of the socket.
   */
  static async listen(path: string, { onRing, mode = 0o600 }: DoorbellOptions): Promise<Doorbell> {
    const doorbell = new Doorbell(onRing)
    const listening = Promise.withResolvers<void>()
    doorbell.#server.once('listening', listening.resolve).once('error', listening.reject)
    // Exclusive: a worker of node:cluster would otherwise make its primary listen, which outlives it.
    doorbell.#server.listen({ path, exclusive: true })
    await listening.promise
    doorbell.#server.off('error', listening.reject).on('error', () => {}) // For a connection that was not accepted.
    if (process.platform !== 'win32') chmodSync(path, mode)
    return doorbell
  }

  private constructor(onRing: () => void) {
    this.#onRing = onRing
    this.#server = createServer((socket) => {
      const link: Link = new Link(socket, {
        onRing: () => this.#pass(link),
        // A process killed between a commit and its ring could not ring.
        onEnd: () => {
          this.#links.delete(link)
          this.#pass(link)
        },
      })
      this.#links.add(link)
      // It connected before it was accepted, and we may have rung the others in between.
      link.ring()
    })
    this.#server.unref()
  }

  ring(): void {
    for (const link of this.#links) link.ring()
  }

  /** Stops listening before it hangs up, so that nobody who is cut off finds it still listening. */
  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    for (const link of this.#links) link.end()
    this.#links.clear()
    await closed
  }

  #pass(from: Link): void {
    for (const link of this.#links) if (link !== from) link.ring()
    this.#onRing()
  }
}
