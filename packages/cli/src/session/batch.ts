import { EXIT, type ExitCode, exitCodeOf } from '../errors/exit-codes.ts'
import { describeFault } from '../errors/fault.ts'
import type { Output } from '../output/output.ts'

/** Counts what of many things was done, and reports each that was not. */
export class Batch {
  readonly #out: Output
  #first: ExitCode = EXIT.ok
  done = 0
  failed = 0

  constructor(out: Output) {
    this.#out = out
  }

  /** Goes on with the next one. */
  async fault(error: unknown, subject: string): Promise<void> {
    await this.#out.fault(error, subject)
    if (this.failed++ === 0) this.#first = exitCodeOf(describeFault(error).code)
  }

  /** That of the failure when nothing was done; `partial` when something was. */
  get exit(): ExitCode {
    if (this.failed === 0) return EXIT.ok
    return this.done > 0 ? EXIT.partial : this.#first
  }
}
