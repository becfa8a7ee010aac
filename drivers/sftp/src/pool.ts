import { StorageError } from '@stored/core/backend'
import type { Connection } from './connection.ts'

/** The connections of a backend: dialed when needed, shared once there are as many as allowed. */
export class Pool {
  readonly #dial: (signal: AbortSignal) => Promise<Connection>
  readonly #most: number
  readonly #connections = new Set<Connection>()
  /** New calls do not use them. */
  readonly #retired = new Set<Connection>()
  readonly #dialing = new Set<Promise<Connection>>()
  readonly #closing = new AbortController()

  constructor(dial: (signal: AbortSignal) => Promise<Connection>, most: number) {
    this.#dial = dial
    this.#most = most
  }

  /**
   * Runs `work` over a connection. If a kept connection turns out to be lost, repeats it once over a new one.
   *
   * @param again Asked before it is repeated.
   */
  async use<T>(work: (connection: Connection) => Promise<T>, again: () => boolean = () => true): Promise<T> {
    const kept = [...this.#connections]
    const connection = await this.#take()
    try {
      return await work(connection)
    } catch (error) {
      if (!connection.isLost || !kept.includes(connection) || !again()) throw error
    } finally {
      connection.users--
    }
    const fresh = await this.#connect()
    fresh.users++
    return work(fresh).finally(() => fresh.users--)
  }

  /** Makes later calls dial; calls in progress keep their connection, which ends with them. */
  renew(): void {
    for (const connection of this.#connections) {
      this.#connections.delete(connection)
      this.#retired.add(connection)
      connection.retire()
    }
    for (const connection of this.#retired) if (connection.isLost) this.#retired.delete(connection)
  }

  /** Closes all connections. */
  disconnect(): void {
    for (const connection of [...this.#connections, ...this.#retired]) connection.close()
  }

  /** Closes all connections, including future ones. */
  close(): void {
    this.#closing.abort(new StorageError('CLOSED', { backend: 'sftp', op: 'close' }))
    this.disconnect()
  }

  async #take(): Promise<Connection> {
    for (;;) {
      const best = this.#leastUsed()
      const isFull = this.#connections.size + this.#dialing.size >= this.#most
      if (best !== undefined && (best.users === 0 || isFull)) return taken(best)
      if (isFull) await Promise.race(this.#dialing)
      else return this.#connect().then(taken, (error) => this.#shared(error))
    }
  }

  /** A server may accept fewer connections than we want. */
  #shared(error: unknown): Connection {
    const best = this.#leastUsed()
    const mayShare = StorageError.is(error) && (error.code === 'UNAVAILABLE' || error.code === 'TIMEOUT')
    if (best === undefined || !mayShare) throw error
    return taken(best)
  }

  #leastUsed(): Connection | undefined {
    let best: Connection | undefined
    for (const connection of this.#connections) {
      if (connection.isLost) this.#connections.delete(connection)
      else if (best === undefined || connection.users < best.users) best = connection
    }
    return best
  }

  async #connect(): Promise<Connection> {
    const dialing = this.#dial(this.#closing.signal)
    this.#dialing.add(dialing)
    try {
      const connection = await dialing
      this.#connections.add(connection)
      return connection
    } finally {
      this.#dialing.delete(dialing)
    }
  }
}

function taken(connection: Connection): Connection {
  connection.users++
  return connection
}
