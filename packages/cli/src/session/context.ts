import type { Input } from '../command-line/input.ts'
import type { Output } from '../output/output.ts'

/** What a command runs with. */
export interface Context {
  readonly input: Input
  readonly out: Output
  /** Aborted by SIGINT, SIGTERM, and a reader of stdout that went away. */
  readonly signal: AbortSignal
  /** `--config`, or `undefined`: found from the working directory. */
  readonly configFile: string | undefined
  readonly dryRun: boolean
  /** `--yes`: ask nothing. */
  readonly yes: boolean
}
