import type { Input } from '../command-line/input.ts'
import type { Output } from '../output/output.ts'

/** What a command receives. */
export interface Context {
  readonly input: Input
  readonly out: Output
  /** Aborted by SIGINT, by SIGTERM, and when the reader of stdout goes away. */
  readonly signal: AbortSignal
  /** `--config`, or `undefined`: found from the working directory. */
  readonly configFile: string | undefined
  readonly dryRun: boolean
  /** `--yes`: do not ask. */
  readonly yes: boolean
}
