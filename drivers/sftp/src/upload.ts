import { partition } from '@stored/core/backend'
import { Connection, type Handle } from './connection.ts'

/**
 * Writes a body into an open file, with several requests in flight.
 *
 * @returns The bytes written.
 */
export async function upload(
  connection: Connection,
  handle: Handle,
  body: AsyncIterable<Uint8Array>,
  requestsInFlight: number,
): Promise<number> {
  const flight = new Flight(Connection.requestsOf(connection.writeBytes, requestsInFlight))
  let position = 0
  for await (const part of partition(body, connection.writeBytes)) {
    await flight.room()
    flight.add(connection.write(handle, Buffer.from(part.buffer, part.byteOffset, part.byteLength), position))
    position += part.byteLength
  }
  await flight.landed()
  return position
}

/** Unanswered requests. After one has failed there is no room for more. */
class Flight {
  readonly #most: number
  #count = 0
  #failure: { readonly error: unknown } | undefined
  #waiting: PromiseWithResolvers<void> | undefined
  /** The number of requests at which the waiter continues. */
  #enough = 0

  constructor(most: number) {
    this.#most = most
  }

  add(request: Promise<unknown>): void {
    this.#count++
    request.then(
      () => this.#answered(),
      (error) => {
        this.#failure ??= { error }
        this.#answered()
      },
    )
  }

  /** Waits until one more may be sent. @throws The error of the first failed request. */
  room(): Promise<void> {
    return this.#until(this.#most - 1)
  }

  /** Waits for all answers. @throws The error of the first failed request. */
  landed(): Promise<void> {
    return this.#until(0)
  }

  async #until(count: number): Promise<void> {
    if (this.#count > count && this.#failure === undefined) {
      this.#enough = count
      this.#waiting = Promise.withResolvers()
      await this.#waiting.promise
    }
    if (this.#failure !== undefined) throw this.#failure.error
  }

  #answered(): void {
    this.#count--
    if (this.#count <= this.#enough || this.#failure !== undefined) this.#waiting?.resolve()
  }
}
