import type { ExitCode } from '../errors/exit-codes.ts'

/** What doctor looked at, and what it found. */
export interface Check {
  readonly check: string
  readonly result: 'ok' | 'warning' | 'failed'
  readonly message: string
  /** What the process ends with because of it, unless something worse was found. @default 1 when it failed, else 0 */
  readonly exit?: ExitCode
}
