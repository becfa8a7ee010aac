import type { ClientRequest, IncomingMessage } from 'node:http'

/** The body of a put on its way to a server. */
export class Upload {
  /** Whether it was read from. Not before the server has asked for it. */
  begun = false
  /** Whether all of it was sent: from then on it may have been stored. */
  sent = false
  /** Whether the body failed, rather than the connection. */
  failed = false
  readonly #body: AsyncIterable<Uint8Array>

  constructor(body: AsyncIterable<Uint8Array>) {
    this.#body = body
  }

  /** Sends it, up to its end or to an early response. Rejects as soon as `answer` does. */
  async to(request: ClientRequest, answer: Promise<IncomingMessage>): Promise<void> {
    const wanted = new Promise<null>((resolve) => request.once('continue', () => resolve(null)))
    request.flushHeaders()
    if ((await Promise.race([wanted, answer])) !== null) return
    this.begun = true
    const iterator = this.#body[Symbol.asyncIterator]()
    try {
      if (await this.#send(iterator, request, answer)) return
    } catch (error) {
      request.destroy()
      throw error
    } finally {
      // Not awaited: a stalled source does not return.
      if (!this.sent && !this.failed) void iterator.return?.()?.catch(() => {})
    }
    request.end()
  }

  /** @returns Whether a response came before the end. */
  async #send(
    iterator: AsyncIterator<Uint8Array>,
    request: ClientRequest,
    answer: Promise<IncomingMessage>,
  ): Promise<boolean> {
    while (true) {
      const step = await Promise.race([this.#next(iterator), answer])
      if (!('done' in step)) return true
      if (step.done) {
        this.sent = true
        return false
      }
      if (request.write(step.value)) continue
      const drained = new Promise<null>((resolve) => request.once('drain', () => resolve(null)))
      if ((await Promise.race([drained, answer])) !== null) return true
    }
  }

  async #next(iterator: AsyncIterator<Uint8Array>): Promise<IteratorResult<Uint8Array>> {
    try {
      return await iterator.next()
    } catch (error) {
      this.failed = true
      throw error
    }
  }
}
