import type { Command, Flag } from './command.ts'
import { COMMANDS } from './commands.ts'
import { EXIT, EXIT_HELP } from './exit-codes.ts'
import { GLOBAL_FLAGS } from './global-flags.ts'
import { flagText, synopsis } from './help.ts'

/** The text of docs/cli.md. */
export function reference(): string {
  return [
    '# The command `stored`',
    'Made from the table of commands by `pnpm --filter @stored/cli run reference`; a test compares it.',
    HEAD,
    '## Exit codes',
    table(
      ['code', 'meaning'],
      Object.entries(EXIT).map(([name, code]) => [`${code}`, EXIT_HELP[name as keyof typeof EXIT]]),
    ),
    '## Flags of every command',
    flagTable(GLOBAL_FLAGS),
    '## Commands',
    table(
      ['command', ''],
      COMMANDS.map(({ name, help }) => [`[\`${name}\`](#${name.replace(' ', '-')})`, help]),
    ),
    ...COMMANDS.map(section),
  ]
    .join('\n\n')
    .concat('\n')
}

const HEAD = `Results are on stdout, everything else on stderr. On a terminal stderr shows one line of progress: how much of how much, how fast, how long still.

With \`--json\` stdout has a record a line, each with \`v: 1\` and a \`type\`: what the command tells of, \`plan\` for what a dry run would do, \`error\` with \`code\`,
\`message\` and the \`url\` of [the page about that code](errors/README.md) for each failure, and a \`summary\` with the exit code as the last line. The types
are \`OutputRecord\` of \`@stored/cli\`. Fields may be added; what is there keeps its meaning. Where stdout carries a blob, the records are on stderr.

Keys, names, and what services say may hold what a terminal obeys, or what nobody sees: control characters, marks that turn a line around, tags. They are shown as
\`\\u001b\` or \`\\u202e\`, also in JSON, where that is the same text. Only what is there for other programs is written as it is where stdout is no terminal, as by
\`ls\` of GNU: the keys of \`ls\`, the lines of \`put\`, and blobs.

The first SIGINT or SIGTERM ends a command in order: the store is closed, what was acknowledged is kept, no file is left half-written. The second one does not
wait for that.

Several commands may use a store at a time. One process syncs it; beside it, \`put\` and \`rm\` ring and end. Where none does, they sync until their own jobs have
settled, unless \`--no-wait\` leaves these to whoever comes next.`

function section(command: Command): string {
  const { name, help, details, flags, examples } = command
  const parts = [`### ${name}`, `\`\`\`\n${synopsis(command)}\n\`\`\``, details ? `${help}. ${details}` : `${help}.`]
  if (flags.length > 0) parts.push(flagTable(flags))
  parts.push(`\`\`\`sh no-run\n${examples.join('\n')}\n\`\`\``)
  return parts.join('\n\n')
}

function flagTable(flags: readonly Flag[]): string {
  return table(
    ['flag', ''],
    flags.map((flag) => [`\`${flagText(flag).replaceAll('|', ', ')}\``, flag.help]),
  )
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}
