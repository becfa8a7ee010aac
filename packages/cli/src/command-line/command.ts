import type { Context } from '../session/context.ts'
import type { Outcome } from '../session/outcome.ts'

/** What a word can be, for completions: of a file system, a configured backend, an option of a driver, or one of a few. */
export type Completion = 'file' | 'directory' | 'backend' | 'option' | readonly string[]

export interface Flag {
  readonly name: string
  readonly short?: string
  /** How help calls its value; a flag without one is a switch. */
  readonly value?: string
  /** It may be given more than once. */
  readonly multiple?: true
  readonly help: string
  readonly complete?: Completion
}

export interface Argument {
  readonly name: string
  readonly optional?: true
  readonly multiple?: true
  readonly complete?: Completion
}

export type Handler = (context: Context) => Promise<Outcome>

/** One command: parsing, help, reference and completions all come from it. */
export interface Command {
  /** One word, or two: `queue ls`. */
  readonly name: string
  readonly args: readonly Argument[]
  readonly flags: readonly Flag[]
  /** One line. */
  readonly help: string
  /** What one line cannot say, in sentences. */
  readonly details?: string
  readonly examples: readonly string[]
  /** Imports what runs it, and nothing before. */
  readonly load: () => Promise<{ readonly run: Handler }>
}
