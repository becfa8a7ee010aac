import { type ParseArgsOptionsConfig, parseArgs } from 'node:util'
import { usage } from '../errors/fault.ts'
import type { Command, Flag } from './command.ts'
import { GLOBAL_FLAGS } from './global-flags.ts'
import { Input, type Values } from './input.ts'

const HELP: Flag = { name: 'help', short: 'h', help: 'Show this help' }
/** The flags that every command accepts. */
export const SHARED_FLAGS: readonly Flag[] = [...GLOBAL_FLAGS, HELP]

export interface Split {
  /** The leading words that can be part of a command name, without flags. */
  readonly words: readonly string[]
  /** Their positions in argv. */
  readonly places: readonly number[]
}

/**
 * The first words of a command line that are neither flags nor values of global flags. The command name is among them.
 */
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
      args: joined(argv, [...SHARED_FLAGS, ...flags]),
      options: optionsOf([...SHARED_FLAGS, ...flags]),
      allowPositionals: true,
      strict: true,
    })
    return { args: positionals, values }
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    throw usage(complaintOf(error.message))
  }
}

/** Rewrites `--range -100` as `--range=-100`: no flag looks like a number. */
function joined(argv: readonly string[], flags: readonly Flag[]): string[] {
  const args: string[] = []
  const takesValue = (arg: string | undefined) => flags.some(({ name, value }) => value && arg === `--${name}`)
  for (const [i, arg] of argv.entries())
    if (/^-\d/.test(arg) && takesValue(argv[i - 1]) && !argv.slice(0, i).includes('--'))
      args.push(`${args.pop()}=${arg}`)
    else args.push(arg)
  return args
}

/** Shortens the message from Node.js to one line. */
function complaintOf(message: string): string {
  const [, option] = /^Option '([^']+)' argument is ambiguous/.exec(message) ?? []
  if (option !== undefined) return `${option} needs a value; if it begins with a dash, write ${option}=-…`
  const [sentence = ''] = message.split(/\.\s/)
  return sentence.slice(0, 1).toLowerCase() + sentence.slice(1)
}

/** @throws {Fault} USAGE: too few arguments, too many, or an empty one. */
export function inputOf({ args: wanted, name }: Command, args: readonly string[], values: Values): Input {
  const least = wanted.filter(({ optional }) => !optional).length
  const missing = wanted[args.length]
  if (args.length < least) throw usage(`${name} needs ${missing?.name ?? 'an argument'}`)
  // Probably an unset shell variable.
  if (least > 0 && args.includes('')) throw usage(`${name} takes no empty ${wanted[0]?.name ?? 'argument'}`)
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
