import type { ExitCode } from '../errors/exit-codes.ts'

/** How a command ended. */
export interface Outcome {
  readonly exit: ExitCode
  /** For people, on stderr. */
  readonly text?: string
  /** The fields of the summary record. */
  readonly summary?: Readonly<Record<string, unknown>>
}
