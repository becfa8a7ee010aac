import type { Command, Flag } from '../command-line/command.ts'
import { COMMANDS } from '../command-line/command-table.ts'
import { GLOBAL_FLAGS } from '../command-line/global-flags.ts'
import { EXIT, EXIT_HELP } from '../errors/exit-codes.ts'
import { flagText, synopsis } from './help.ts'

/** The text of docs/cli.md. */
export function reference(): string {
  return [
    '# The command `stored`',
    'Generated from the table of commands by `pnpm --filter @stored/cli run reference`; a test compares it.',
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

const HEAD = `Results go to stdout, everything else to stderr. On a terminal, stderr shows one line of progress: amount done, total, speed, time left.

With \`--json\`, stdout has one record per line, each with \`v: 1\` and a \`type\`: the results of the command, \`plan\` for what a dry run would do, \`error\` with \`code\`,
\`message\` and the \`url\` of [the page about the code](errors/README.md) for each failure, and a \`summary\` with the exit code as the last line. The types
are \`OutputRecord\` of \`@stored/cli\`. Fields may be added; existing ones keep their meaning. If stdout carries a blob, the records go to stderr.

Keys, names and messages of services may hold characters that a terminal obeys or nobody sees: control characters, marks that reverse a line, tags. They are shown as
\`\\u001b\` or \`\\u202e\`, also in JSON, where that is the same text. Output for other programs is written unchanged if stdout is not a terminal, as GNU
\`ls\` does: the keys of \`ls\`, the lines of \`put\`, and blobs.

The first SIGINT or SIGTERM ends a command cleanly: it closes the store, keeps what was acknowledged, and leaves no half-written file. The second one ends it at once.

Several commands may use a store at the same time. One process syncs it; while one does, \`put\` and \`rm\` notify it and wait. If none does, they sync until their own
jobs have settled, unless \`--no-wait\` leaves them to the next process.`

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
