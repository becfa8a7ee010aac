import type { ExitCode } from '../errors/exit-codes.ts'

/** One thing that doctor checked, and the result. */
export interface Check {
  readonly check: string
  readonly result: 'ok' | 'warning' | 'failed'
  readonly message: string
  /** The exit code because of it, unless something worse is found. @default 1 if it failed, else 0 */
  readonly exit?: ExitCode
}
