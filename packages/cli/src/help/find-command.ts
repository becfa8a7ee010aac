import type { Command } from '../command-line/command.ts'
import { COMMANDS } from '../command-line/command-table.ts'
import { leadingWords } from '../command-line/parse.ts'
import { usage } from '../errors/fault.ts'

/** The text for `--help`, `help …` and `--version`; `null` if none of them was given. */
export async function helpRequest(argv: readonly string[]): Promise<string | null> {
  const end = argv.indexOf('--')
  const flags = end < 0 ? argv : argv.slice(0, end)
  const { words } = leadingWords(argv, 3)
  const isHelp = words[0] === 'help'
  if (!isHelp && !flags.includes('--help') && !flags.includes('-h')) return versionRequest(flags, words)
  const { commandHelp, groupHelp, overview } = await import('./help.ts')
  const [first = '', second = ''] = isHelp ? words.slice(1) : words
  const command = named(`${first} ${second}`) ?? named(first)
  if (command) return commandHelp(command)
  const group = groupOf(first)
  return group.length > 0 ? groupHelp(first, group) : overview(COMMANDS)
}

async function versionRequest(flags: readonly string[], words: readonly string[]): Promise<string | null> {
  if (words.length > 0 || !flags.includes('--version')) return null
  const { readFile } = await import('node:fs/promises')
  const manifest = await readFile(new URL(import.meta.resolve('@stored/cli/package.json')), 'utf8')
  return `stored ${(JSON.parse(manifest) as { version: string }).version}\n`
}

/**
 * Finds the command, and the arguments without its name.
 *
 * @throws {Fault} USAGE.
 */
export async function findCommand(argv: readonly string[]): Promise<{ command: Command; rest: string[] }> {
  const { words, places } = leadingWords(argv, 2)
  const [first, second] = words
  if (first === undefined) throw usage('a command is missing; stored --help lists them')
  const command = named(`${first} ${second}`) ?? named(first)
  if (!command) throw await unknown(first, second)
  const taken = places.slice(0, command.name.split(' ').length)
  return { command, rest: argv.filter((_, i) => !taken.includes(i)) }
}

function named(name: string): Command | undefined {
  return COMMANDS.find((command) => command.name === name)
}

function groupOf(word: string): Command[] {
  return COMMANDS.filter(({ name }) => name.startsWith(`${word} `))
}

async function unknown(first: string, second: string | undefined): Promise<Error> {
  const { nearest } = await import('@stored/core/backend')
  const group = groupOf(first).map(({ name }) => name.slice(first.length + 1))
  const [given, known] =
    group.length > 0 ? [second, group] : [first, COMMANDS.map(({ name }) => name.split(' ')[0] ?? '')]
  if (given === undefined) return usage(`${first} what? ${known.join(', ')}`)
  const best = nearest(given, known)
  const hint = best === undefined ? 'stored --help lists them' : `did you mean ${JSON.stringify(best)}?`
  return usage(`unknown command ${JSON.stringify(group.length > 0 ? `${first} ${given}` : given)}; ${hint}`)
}
