import { StorageError } from '@stored/core/backend'
import type { Connection } from './connection.ts'

/** The connections of a backend: dialed when they are needed, shared when there are as many as there may be. */
export class Pool {
  readonly #dial: (signal: AbortSignal) => Promise<Connection>
  readonly #most: number
  readonly #connections = new Set<Connection>()
  /** No new call uses them. */
  readonly #retired = new Set<Connection>()
  readonly #dialing = new Set<Promise<Connection>>()
  readonly #closing = new AbortController()

  constructor(dial: (signal: AbortSignal) => Promise<Connection>, most: number) {
    this.#dial = dial
    this.#most = most
  }

  /**
   * Does something over a connection. When it was kept from before and turns out to be lost, it is done once more over a new one.
   *
   * @param again Asked before it is done once more.
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

  /** Has later calls dial; calls under way keep their connection, which ends with them. */
  renew(): void {
    for (const connection of this.#connections) {
      this.#connections.delete(connection)
      this.#retired.add(connection)
      connection.retire()
    }
    for (const connection of this.#retired) if (connection.isLost) this.#retired.delete(connection)
  }

  /** Ends all connections. */
  disconnect(): void {
    for (const connection of [...this.#connections, ...this.#retired]) connection.close()
  }

  /** Ends all connections, those to come as well. */
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

  /** A server may have enough of connections before we have. */
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
