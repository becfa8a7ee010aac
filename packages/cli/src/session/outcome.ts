import type { ExitCode } from '../errors/exit-codes.ts'

/** The result of a command. */
export interface Outcome {
  readonly exit: ExitCode
  /** A message for people, on stderr. */
  readonly text?: string
  /** The fields of the summary record. */
  readonly summary?: Readonly<Record<string, unknown>>
}
