import { BrokenPromise, printError } from './expect.ts'

/**
 * Detects faults outside the calls of a case: unhandled rejections, and files that only the garbage collector closes.
 */
export class ProcessFaults implements Disposable {
  readonly #found: { text: string; cause: unknown }[] = []
  readonly #onRejection = (reason: unknown): void => {
    this.#found.push({ text: `no rejection is left unhandled, but there was ${printError(reason)}`, cause: reason })
  }
  readonly #onWarning = (warning: Error): void => {
    // Node reports this for a FileHandle or Dir that was never closed, whenever its memory is reclaimed.
    if (!warning.message.includes('on garbage collection')) return
    this.#found.push({
      text: `no file is left open, but this case or one before it left one: ${warning.message}`,
      cause: warning,
    })
  }

  constructor() {
    process.on('unhandledRejection', this.#onRejection)
    process.on('warning', this.#onWarning)
  }

  throwIfAny(): void {
    const [first] = this.#found
    if (first !== undefined) throw new BrokenPromise(first.text, { cause: first.cause })
  }

  [Symbol.dispose](): void {
    process.off('unhandledRejection', this.#onRejection)
    process.off('warning', this.#onWarning)
  }
}
