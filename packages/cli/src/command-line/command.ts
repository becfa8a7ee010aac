import type { Context } from '../session/context.ts'
import type { Outcome } from '../session/outcome.ts'

/** What a word can be, for completion: a file or directory, a configured backend, a driver option, or one of a list. */
export type Completion = 'file' | 'directory' | 'backend' | 'option' | readonly string[]

export interface Flag {
  readonly name: string
  readonly short?: string
  /** The placeholder for its value in help; a flag without one is a switch. */
  readonly value?: string
  /** May be given more than once. */
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

/** One command. Parsing, help, the reference and completions are all generated from it. */
export interface Command {
  /** One or two words: `queue ls`. */
  readonly name: string
  readonly args: readonly Argument[]
  readonly flags: readonly Flag[]
  /** One line. */
  readonly help: string
  /** Whole sentences for what does not fit in one line. */
  readonly details?: string
  readonly examples: readonly string[]
  /** Imports the module that runs it, and only then. */
  readonly load: () => Promise<{ readonly run: Handler }>
}
