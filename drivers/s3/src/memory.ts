const MIB = 1 << 20
/** How long unused buffers are kept for the next put. */
const IDLE_MS = 4_000
/** How often a waiting put reports progress, so that it does not look like a stall. */
const SIGN_MS = 1_000

/** Memory lent to one put. It is returned once, by `give` or by disposal. */
export interface Loan extends Disposable {
  readonly buffer: Buffer
  /**
   * The buffer is no longer read: the next loan may overwrite it. Otherwise a failed request may still be sending it.
   */
  give(): void
}

interface Waiting {
  readonly bytes: number
  grant(): void
}

/**
 * The memory for the bodies of all puts of one backend: a limited number of bytes, lent in the order of the requests.
 */
export class Memory {
  readonly #limit: number
  readonly #waiting: Waiting[] = []
  /** Whole buffers. A new one costs its pages, and the old one stays until it is collected. */
  #spare: ArrayBufferLike[] = []
  #lent = 0
  #idle: NodeJS.Timeout | undefined

  constructor(limitBytes: number) {
    this.#limit = limitBytes
  }

  /**
   * A buffer of `bytes`, when there is room. A request above the limit gets all of it, alone. A holder whose loan does
   * not end by itself must not request another.
   *
   * @param onWait Called every second while there is no room.
   * @throws The reason of `signal`.
   */
  async take(bytes: number, signal: AbortSignal, onWait: () => void = () => {}): Promise<Loan> {
    signal.throwIfAborted()
    const room = Math.min(roomFor(bytes), this.#limit)
    if (this.#waiting.length > 0 || this.#lent + room > this.#limit) await this.#wait(room, signal, onWait)
    else this.#lent += room
    return this.#lend(bytes, room)
  }

  #wait(bytes: number, signal: AbortSignal, onWait: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (): void => {
        clearInterval(sign)
        signal.removeEventListener('abort', onAbort)
      }
      const grant = (): void => {
        end()
        resolve()
      }
      const waiting = { bytes, grant }
      const onAbort = (): void => {
        end()
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1)
        reject(signal.reason)
        this.#grant()
      }
      const sign = setInterval(onWait, SIGN_MS)
      signal.addEventListener('abort', onAbort)
      this.#waiting.push(waiting)
    })
  }

  #lend(bytes: number, room: number): Loan {
    clearTimeout(this.#idle)
    const whole = this.#reuse(bytes) ?? Buffer.allocUnsafeSlow(roomFor(bytes)).buffer
    let isLent = true
    const end = (isFree: boolean): void => {
      if (!isLent) return
      isLent = false
      this.#lent -= room
      if (isFree && bytes >= MIB) this.#keep(whole)
      this.#grant()
    }
    const give = (): void => end(true)
    return { buffer: Buffer.from(whole, 0, bytes), give, [Symbol.dispose]: () => end(false) }
  }

  #reuse(bytes: number): ArrayBufferLike | undefined {
    const at = this.#spare.findIndex(({ byteLength }) => byteLength === roomFor(bytes))
    if (at >= 0) return this.#spare.splice(at, 1)[0]
    // Lent and kept buffers share one limit.
    while (this.#spare.length > 0 && this.#lent + this.#spareBytes > this.#limit) this.#spare.shift()
    return undefined
  }

  #keep(whole: ArrayBufferLike): void {
    this.#spare.push(whole)
    if (this.#lent > 0) return
    clearTimeout(this.#idle)
    this.#idle = setTimeout(() => {
      this.#spare = []
    }, IDLE_MS)
    this.#idle.unref()
  }

  #grant(): void {
    for (let next = this.#waiting[0]; next && this.#lent + next.bytes <= this.#limit; next = this.#waiting[0]) {
      this.#waiting.shift()
      this.#lent += next.bytes
      next.grant()
    }
  }

  get #spareBytes(): number {
    return this.#spare.reduce((sum, { byteLength }) => sum + byteLength, 0)
  }
}

/** Large ones are whole MiB, so that they can be reused. */
function roomFor(bytes: number): number {
  return bytes < MIB ? bytes : Math.ceil(bytes / MIB) * MIB
}
