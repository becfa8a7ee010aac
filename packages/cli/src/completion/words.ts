import type { Command, Completion, Flag } from '../command-line/command.ts'
import { SHARED_FLAGS } from '../command-line/parse.ts'

/** Ways to give a secret instead of a value. */
export const VALUES = ['@env:', '@file:', '@ask']

/** The input for the completion scripts of all shells. */
export interface CommandWords {
  readonly name: string
  readonly help: string
  readonly flags: readonly Flag[]
  /** One entry for each argument position; the last one also covers later positions if it repeats. */
  readonly args: readonly (Completion | undefined)[]
  readonly repeats: boolean
}

export function wordsOf(commands: readonly Command[]): CommandWords[] {
  return commands.map(({ name, help, flags, args }) => ({
    name,
    help,
    flags: [...flags, ...SHARED_FLAGS],
    args: args.map(({ complete }) => complete),
    repeats: args.at(-1)?.multiple ?? false,
  }))
}

/** First words, each with its help. */
export function firstWords(commands: readonly Command[]): (readonly [string, string])[] {
  const words = new Map<string, string>()
  for (const { name, help } of commands) {
    const [first = name, second] = name.split(' ')
    if (second === undefined) words.set(first, help)
    else words.set(first, `${[...secondWords(commands, first)].map(([word]) => word).join(', ')}`)
  }
  return [...words]
}

/** Second words of a group; empty for a one-word command. */
export function secondWords(commands: readonly Command[], first: string): (readonly [string, string])[] {
  return commands
    .filter(({ name }) => name.startsWith(`${first} `))
    .map(({ name, help }) => [name.slice(first.length + 1), help])
}

export function groupsOf(commands: readonly Command[]): string[] {
  return [...new Set(commands.filter(({ name }) => name.includes(' ')).map(({ name }) => name.split(' ')[0] as string))]
}

/**
 * Flags that take a value, as typed. A spelling must mean the same in every command, or a script could not skip the
 * values.
 */
export function valueFlags(commands: readonly Command[]): Map<string, Completion | undefined> {
  const flags = new Map<string, Completion | undefined>()
  for (const { name, short, value, complete } of [...SHARED_FLAGS, ...commands.flatMap((command) => command.flags)]) {
    if (value === undefined) continue
    flags.set(`--${name}`, complete)
    if (short !== undefined) flags.set(`-${short}`, complete)
  }
  return flags
}

/** Quotes text for a Bourne-like shell. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}
