import { StorageError } from '@stored/core/backend'

export interface RoomOptions {
  /** In bytes. */
  limit: number
  /** Above so many bytes, space is to be made. */
  highWater: number
  /** Bytes that are kept, by whatever process. */
  kept: () => number
}

export interface ShareOptions {
  signal: AbortSignal
  whenFull: 'wait' | 'refuse'
}

interface Waiting {
  readonly share: Share
  readonly bytes: number
  admit(): void
  refuse(error: StorageError): void
}

/**
 * How much may be staged: what is kept, and what this process is receiving.
 *
 * (1) Whoever has no space yet waits in the order of coming: a large blob is not overtaken by small ones.
 * (2) Whoever has some and needs more comes before all who have none: they could not end before it does.
 * (3) Waiting makes sense while something can still leave: kept bytes, or those of a receiver that does not wait. When only
 *     receivers that wait for each other are left, the last to come is refused, until the first fits.
 */
export class Room {
  readonly limit: number
  readonly #highWater: number
  readonly #kept: () => number
  readonly #growing: Waiting[] = []
  readonly #coming: Waiting[] = []
  readonly #listeners = new Set<() => void>()
  /** Held by receivers, and by how many. */
  #held = 0
  #holders = 0
  /** The last that was refused. */
  #refused = 0
  #closed: StorageError | undefined

  constructor({ limit, highWater, kept }: RoomOptions) {
    this.limit = limit
    this.#highWater = highWater
    this.#kept = kept
  }

  share(o: ShareOptions): Share {
    return new Share(this, o)
  }

  /** Kept and being received, in bytes. */
  get used(): number {
    return this.#kept() + this.#held
  }

  /** Bytes that have to leave before it is below its high-water mark and has room for whoever waits, or was just refused. */
  get excess(): number {
    const { used } = this
    if (used + this.#refused <= this.limit) this.#refused = 0
    const wanted = Math.max(this.#first?.bytes ?? 0, this.#refused)
    return Math.max(0, used - this.#highWater, wanted > 0 ? used + wanted - this.limit : 0)
  }

  /** Calls `listener` when somebody finds no space. @returns A function that ends it. */
  onFull(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** @returns `null` when the space is there. @throws {StorageError} STAGING_FULL. */
  take(share: Share, bytes: number, o: ShareOptions): Promise<void> | null {
    if (share.bytes + bytes > this.limit) throw tooLarge(this.limit)
    const queue = share.bytes > 0 ? this.#growing : this.#coming
    const isFirst = queue.length === 0 && this.#growing.length === 0
    if (isFirst && this.#fits(bytes)) {
      this.#give(share, bytes)
      return null
    }
    if (o.whenFull === 'refuse') {
      this.#refused = bytes
      this.#tellFull()
      throw full(this.limit)
    }
    if (this.#closed) throw this.#closed
    return this.#wait(queue, share, bytes, o.signal)
  }

  giveBack(share: Share, bytes: number): void {
    if (bytes === 0) return
    this.#held -= bytes
    share.bytes -= bytes
    if (share.bytes === 0) this.#holders--
    this.recheck()
  }

  /** Whether somebody waits for space. */
  get isAwaited(): boolean {
    return this.#first !== undefined
  }

  /** Lets in who fits by now, and says so when somebody still does not. */
  recheck(): void {
    if (!this.#first) return
    this.#letIn()
    if (this.#first) this.#tellFull()
  }

  /** Refuses all who wait, and who would. */
  close(error: StorageError): void {
    this.#closed = error
    this.#refuseAll(error)
  }

  /** Refuses all who wait now. @param why Nothing will leave. */
  refuseWaiting(why: string): void {
    this.#refuseAll(full(this.limit, why))
  }

  #refuseAll(error: StorageError): void {
    for (const waiting of [...this.#growing.splice(0), ...this.#coming.splice(0)]) waiting.refuse(error)
  }

  get #first(): Waiting | undefined {
    return this.#growing[0] ?? this.#coming[0]
  }

  async #wait(queue: Waiting[], share: Share, bytes: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const waiting = { share, bytes, admit: resolve, refuse: reject }
    const abort = () => {
      const place = queue.indexOf(waiting)
      if (place === -1) return
      queue.splice(place, 1)
      reject(signal.reason)
      this.recheck()
    }
    signal.addEventListener('abort', abort, { once: true })
    queue.push(waiting)
    this.recheck()
    try {
      await promise
      // Let in by another's abort, and aborted by the same signal.
      signal.throwIfAborted()
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  #letIn(): void {
    for (let first = this.#first; first; first = this.#first) {
      const queue = first === this.#growing[0] ? this.#growing : this.#coming
      if (this.#fits(first.bytes)) {
        queue.shift()
        this.#give(first.share, first.bytes)
        first.admit()
      } else if (queue === this.#growing && this.#isStuck(first)) this.#growing.pop()?.refuse(stuck(this.limit))
      else return
    }
  }

  /** Nobody but those who wait holds anything, and without all that is kept the first would not fit either. */
  #isStuck({ bytes }: Waiting): boolean {
    return this.#holders === this.#growing.length && this.#held + bytes > this.limit
  }

  #fits(bytes: number): boolean {
    return this.used + bytes <= this.limit
  }

  #give(share: Share, bytes: number): void {
    if (share.bytes === 0) this.#holders++
    this.#held += bytes
    share.bytes += bytes
  }

  #tellFull(): void {
    for (const listener of this.#listeners) listener()
  }
}

/** The space of one receiver, until its bytes are kept or discarded. */
export class Share {
  readonly #room: Room
  readonly #options: ShareOptions
  /** The room's to change. */
  bytes = 0

  constructor(room: Room, options: ShareOptions) {
    this.#room = room
    this.#options = options
  }

  /** @returns `null` when there are as many bytes already: most callers need not wait. @throws {StorageError} STAGING_FULL. */
  require(bytes: number): Promise<void> | null {
    return bytes > this.bytes ? this.#room.take(this, bytes - this.bytes, this.#options) : null
  }

  /** Gives back what is held beyond `bytes`. */
  trim(bytes: number): void {
    this.#room.giveBack(this, Math.max(0, this.bytes - bytes))
  }
}

function full(limit: number, why?: string): StorageError {
  const detail = `staging is at its limit of ${limit} bytes${why === undefined ? '' : `, and ${why}`}`
  return new StorageError('STAGING_FULL', { op: 'put' }, { detail })
}

function stuck(limit: number): StorageError {
  const detail = `all of the ${limit} bytes are taken by puts of unknown size that wait for each other`
  return new StorageError('STAGING_FULL', { op: 'put' }, { detail })
}

/** The same call will fail again, so it is not retryable. */
function tooLarge(limit: number): StorageError {
  const detail = `the blob is larger than all of staging, ${limit} bytes`
  return new StorageError('STAGING_FULL', { op: 'put' }, { detail, retryable: false })
}
