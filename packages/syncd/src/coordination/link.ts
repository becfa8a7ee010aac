import type { Socket } from 'node:net'

const RING = 0x72 // r
const ACKNOWLEDGEMENT = 0x61 // a
/** Silence is counted in ticks of our own event loop: a pause of ours (a debugger, a laptop asleep) counts as one. */
const TICK_MS = 1000
const SILENT_TICKS = 5

export interface LinkHooks {
  /** The other process committed something. */
  onRing(): void
  /** The connection is gone. Not called after `end()`. */
  onEnd(): void
  /** A ring was not acknowledged for 5 seconds: the other process exists, but its event loop does not turn. */
  onSilence?(): void
}

/**
 * One end of the connection between two processes of a store. Both may ring, and acknowledge each other's rings. Each
 * side has at most one ring in flight, and all that come in the meantime become one more. However many commits there
 * are, and however slow the other side, at most one byte each way waits to be read.
 */
export class Link {
  readonly #socket: Socket
  readonly #hooks: LinkHooks
  #ringing = false
  #again = false
  #ticks = 0
  #timer: NodeJS.Timeout | undefined

  constructor(socket: Socket, hooks: LinkHooks) {
    this.#socket = socket
    this.#hooks = hooks
    // An open store alone does not keep a process running.
    socket.unref()
    socket.on('data', (bytes) => this.#hear(bytes))
    socket.on('error', () => {}) // 'close' follows, and carries all the information there is.
    socket.once('close', () => this.#close())
  }

  ring(): void {
    if (this.#ringing) {
      this.#again = true
      return
    }
    this.#ringing = true
    this.#socket.write(Buffer.of(RING))
    this.#listen()
  }

  end(): void {
    this.#socket.removeAllListeners('close')
    clearTimeout(this.#timer)
    this.#socket.destroy()
  }

  #hear(bytes: Buffer): void {
    if (bytes.includes(ACKNOWLEDGEMENT)) this.#acknowledged()
    if (!bytes.includes(RING)) return
    this.#socket.write(Buffer.of(ACKNOWLEDGEMENT))
    this.#hooks.onRing()
  }

  #acknowledged(): void {
    clearTimeout(this.#timer)
    this.#ringing = false
    if (!this.#again) return
    this.#again = false
    this.ring()
  }

  #listen(): void {
    if (!this.#hooks.onSilence) return
    this.#ticks = 0
    this.#timer = setTimeout(() => this.#tick(), TICK_MS).unref()
  }

  #tick(): void {
    this.#ticks++
    if (this.#ticks === SILENT_TICKS) this.#hooks.onSilence?.()
    else this.#timer?.refresh()
  }

  #close(): void {
    clearTimeout(this.#timer)
    this.#hooks.onEnd()
  }
}
