import { type ParseArgsOptionsConfig, parseArgs } from 'node:util'
import type { Command, Flag } from './command.ts'
import { usage } from './fault.ts'
import { GLOBAL_FLAGS } from './global-flags.ts'
import { Input, type Values } from './input.ts'

const HELP: Flag = { name: 'help', short: 'h', help: 'Show this help' }
/** All that is known of every command. */
export const SHARED_FLAGS: readonly Flag[] = [...GLOBAL_FLAGS, HELP]

export interface Split {
  /** Words before the first that is none of a command's name, flags left out. */
  readonly words: readonly string[]
  /** Their places among the arguments. */
  readonly places: readonly number[]
}

/** The first words of a command line that are no flags and no values of global ones: the name of a command is among them. */
export function leadingWords(argv: readonly string[], most: number): Split {
  const words: string[] = []
  const places: number[] = []
  for (let i = 0; i < argv.length && words.length < most; i++) {
    const arg = argv[i] as string
    if (arg === '--') break
    if (!arg.startsWith('-') || arg === '-') {
      words.push(arg)
      places.push(i)
    } else if (takesNext(arg)) i++
    else if (!isGlobal(arg)) break
  }
  return { words, places }
}

function takesNext(arg: string): boolean {
  return SHARED_FLAGS.some(
    ({ name, short, value }) => value !== undefined && (arg === `--${name}` || arg === `-${short}`),
  )
}

function isGlobal(arg: string): boolean {
  const [head] = arg.split('=')
  if (arg.startsWith('--')) return SHARED_FLAGS.some(({ name }) => `--${name}` === head)
  return SHARED_FLAGS.some(({ short }) => short !== undefined && arg[1] === short)
}

/** @throws {Fault} USAGE. */
export function parseFlags(argv: readonly string[], flags: readonly Flag[]): { args: string[]; values: Values } {
  try {
    const { positionals, values } = parseArgs({
      args: [...argv],
      options: optionsOf([...SHARED_FLAGS, ...flags]),
      allowPositionals: true,
      strict: true,
    })
    return { args: positionals, values }
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    const [sentence = ''] = error.message.split('. ')
    throw usage(sentence.slice(0, 1).toLowerCase() + sentence.slice(1))
  }
}

/** @throws {Fault} USAGE: too few arguments, or too many. */
export function inputOf({ args: wanted, name }: Command, args: readonly string[], values: Values): Input {
  const least = wanted.filter(({ optional }) => !optional).length
  const missing = wanted[args.length]
  if (args.length < least) throw usage(`${name} needs ${missing?.name ?? 'an argument'}`)
  const most = wanted.some(({ multiple }) => multiple) ? Number.POSITIVE_INFINITY : wanted.length
  if (args.length > most) throw usage(`${name} takes no ${JSON.stringify(args[most])}`)
  return new Input(args, values)
}

function optionsOf(flags: readonly Flag[]): ParseArgsOptionsConfig {
  const options: ParseArgsOptionsConfig = {}
  for (const { name, short, value, multiple } of flags)
    options[name] = {
      type: value === undefined ? 'boolean' : 'string',
      ...(short !== undefined && { short }),
      ...(multiple && { multiple }),
    }
  return options
}
