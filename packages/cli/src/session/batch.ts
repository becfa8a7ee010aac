import { EXIT, type ExitCode, exitCodeOf } from '../errors/exit-codes.ts'
import { describeFault } from '../errors/fault.ts'
import type { Output } from '../output/output.ts'

/** Counts what succeeded in a batch, and reports each failure. */
export class Batch {
  readonly #out: Output
  #first: ExitCode = EXIT.ok
  done = 0
  failed = 0

  constructor(out: Output) {
    this.#out = out
  }

  /** Reports a failure and lets the batch go on. */
  async fault(error: unknown, subject: string): Promise<void> {
    await this.#out.fault(error, subject)
    if (this.failed++ === 0) this.#first = exitCodeOf(describeFault(error).code)
  }

  /** The code of the failure if nothing succeeded; `partial` if something did. */
  get exit(): ExitCode {
    if (this.failed === 0) return EXIT.ok
    return this.done > 0 ? EXIT.partial : this.#first
  }
}
