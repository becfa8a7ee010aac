import type { Argument, Command, Flag } from '../command-line/command.ts'
import { GLOBAL_FLAGS } from '../command-line/global-flags.ts'

const WIDTH = 100

/** One line: `stored put SRC... [--key K]`. */
export function synopsis({ name, args, flags }: Command): string {
  return [
    'stored',
    name,
    ...args.map(argumentText),
    ...flags.map((flag) => `[${flagText(flag)}]${flag.multiple ? '...' : ''}`),
  ].join(' ')
}

export function overview(commands: readonly Command[]): string {
  const rows = commands.map(({ name, help }) => [name, help] as const)
  return [
    'usage: stored COMMAND [arguments]\n',
    'Stores blobs by key or checksum, and copies them to every backend you name.\n',
    columns(rows),
    `\nflags of every command:\n${flagTable(GLOBAL_FLAGS)}`,
    '\nstored COMMAND --help shows the details of a command.\n',
  ].join('\n')
}

export function groupHelp(group: string, commands: readonly Command[]): string {
  return `usage: stored ${group} COMMAND [arguments]\n\n${columns(commands.map(({ name, help }) => [name, help] as const))}\n`
}

export function commandHelp(command: Command): string {
  const { help, details, flags, examples } = command
  const parts = [wrap(`usage: ${synopsis(command)}`, '         '), `${help}.`]
  if (details) parts.push(wrap(details, ''))
  if (flags.length > 0) parts.push(`flags:\n${flagTable(flags)}`)
  parts.push(`flags of every command:\n${flagTable(GLOBAL_FLAGS)}`)
  parts.push(`examples:\n${examples.map((example) => `  ${example}`).join('\n')}`)
  return `${parts.join('\n\n')}\n`
}

function argumentText({ name, optional, multiple }: Argument): string {
  const text = multiple ? `${name}...` : name
  return optional ? `[${text}]` : text
}

/** `-o|--output FILE` */
export function flagText({ name, short, value }: Flag): string {
  const names = short === undefined ? `--${name}` : `-${short}|--${name}`
  return value === undefined ? names : `${names} ${value}`
}

function flagTable(flags: readonly Flag[]): string {
  return columns(
    flags.map(({ name, short, value, help }) => {
      const head = `${short === undefined ? '    ' : `-${short}, `}--${name}`
      return [value === undefined ? head : `${head} ${value}`, help] as const
    }),
  )
}

function columns(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length))
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join('\n')
}

function wrap(text: string, indent: string): string {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > WIDTH) {
      lines.push(line)
      line = indent + word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line].join('\n')
}
