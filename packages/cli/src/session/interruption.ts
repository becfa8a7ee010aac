import { EXIT } from '../errors/exit-codes.ts'
import { Fault } from '../errors/fault.ts'

const SIGNALS = ['SIGINT', 'SIGTERM'] as const

/** Ends a command cleanly: the first signal aborts what is running, the second exits at once. */
export class Interruption implements Disposable {
  readonly #controller = new AbortController()
  /** Keeps the process alive: an open store does not, and a waiting command has nothing else that would. */
  readonly #alive = setInterval(() => {}, 2 ** 30)
  #hasNoReader = false

  constructor() {
    for (const name of SIGNALS) process.on(name, this.#interrupt)
    process.stdout.on('error', this.#lostReader)
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** The reader of our output went away, as `head` does; that is not an error. */
  get hasNoReader(): boolean {
    return this.#hasNoReader
  }

  [Symbol.dispose](): void {
    clearInterval(this.#alive)
    for (const name of SIGNALS) process.off(name, this.#interrupt)
  }

  readonly #interrupt = (name: NodeJS.Signals): void => {
    if (this.signal.aborted) process.exit(EXIT.interrupted)
    this.#controller.abort(new Fault('ABORTED', `interrupted by ${name}`))
  }

  readonly #lostReader = (error: NodeJS.ErrnoException): void => {
    this.#hasNoReader = error.code === 'EPIPE'
    this.#controller.abort(error)
  }
}
