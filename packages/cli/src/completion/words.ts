import type { Command, Completion, Flag } from '../command-line/command.ts'
import { SHARED_FLAGS } from '../command-line/parse.ts'

/** How a secret is given, in place of a value. */
export const VALUES = ['@env:', '@file:', '@ask']

/** What the scripts of all shells are made from. */
export interface CommandWords {
  readonly name: string
  readonly help: string
  readonly flags: readonly Flag[]
  /** For the first argument, the second and so on; the last one also for those behind it, where it may be repeated. */
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

/** First words, each with what it does. */
export function firstWords(commands: readonly Command[]): (readonly [string, string])[] {
  const words = new Map<string, string>()
  for (const { name, help } of commands) {
    const [first = name, second] = name.split(' ')
    if (second === undefined) words.set(first, help)
    else words.set(first, `${[...secondWords(commands, first)].map(([word]) => word).join(', ')}`)
  }
  return [...words]
}

/** Second words of a group, none for a command of one word. */
export function secondWords(commands: readonly Command[], first: string): (readonly [string, string])[] {
  return commands
    .filter(({ name }) => name.startsWith(`${first} `))
    .map(({ name, help }) => [name.slice(first.length + 1), help])
}

export function groupsOf(commands: readonly Command[]): string[] {
  return [...new Set(commands.filter(({ name }) => name.includes(' ')).map(({ name }) => name.split(' ')[0] as string))]
}

/** Flags that take a value, as they are typed. One spelling means the same everywhere, or a script could not skip the values. */
export function valueFlags(commands: readonly Command[]): Map<string, Completion | undefined> {
  const flags = new Map<string, Completion | undefined>()
  for (const { name, short, value, complete } of [...SHARED_FLAGS, ...commands.flatMap((command) => command.flags)]) {
    if (value === undefined) continue
    flags.set(`--${name}`, complete)
    if (short !== undefined) flags.set(`-${short}`, complete)
  }
  return flags
}

/** Text in single quotes of a shell in the line of Bourne's. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}
