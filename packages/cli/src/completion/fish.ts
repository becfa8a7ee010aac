import type { Command, Completion, Flag } from '../command-line/command.ts'
import { SHARED_FLAGS } from '../command-line/parse.ts'
import { firstWords, groupsOf, secondWords, VALUES, valueFlags, wordsOf } from './words.ts'

/** Completions for fish 3. */
export function fishCompletion(commands: readonly Command[]): string {
  const lines = [
    ...firstWords(commands).map(
      ([word, help]) => `complete -c stored -n '__stored_is ""' -a ${word} -d ${fishQuote(help)}`,
    ),
    ...groupsOf(commands).flatMap((group) =>
      secondWords(commands, group).map(
        ([word, help]) => `complete -c stored -n '__stored_is ${group}' -a ${word} -d ${fishQuote(help)}`,
      ),
    ),
    ...SHARED_FLAGS.map((flag) => flagLine(flag, undefined)),
    ...commands.flatMap(({ name, flags }) => flags.map((flag) => flagLine(flag, name))),
    ...wordsOf(commands).flatMap(({ name, args, repeats }) =>
      args.flatMap((complete, i) => argumentLine(name, complete, i, i === args.length - 1 && repeats)),
    ),
  ]
  return `# Completions of stored for fish: stored completion fish > ~/.config/fish/completions/stored.fish
function __stored_words -d 'The words of the line that are not flags: command, then arguments'
    set -l skip 0
    for token in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
        else if contains -- $token ${[...valueFlags(commands).keys()].join(' ')}
            set skip 1
        else if not string match -qr -- '^-.' $token
            echo $token
        end
    end
end

function __stored_is -d 'Whether this command was typed with this many arguments, or any number if none is given'
    set -l words (__stored_words)
    set -l named (string split -n ' ' -- "$argv[1]")
    set -l size (count $named)
    test (count $words) -ge $size; or return 1
    test $size -gt 0; and test "$words[1..$size]" != "$named"; and return 1
    set -l args (math (count $words) - $size)
    test (count $argv) -ge 2; or begin
        contains -- "$argv[1]" '' ${groupsOf(commands).join(' ')}; and test $args -gt 0; and return 1
        return 0
    end
    test $args = $argv[2]; or begin
        test "$argv[3]" = more; and test $args -gt $argv[2]
    end
end

function __stored_options -d 'Ways to give a secret, after the name of an option'
    set -l name (string match -r '^[^=]+=' -- (commandline -ct)); or return
    printf '%s\\n' $name{${VALUES.join(',')}}
end

complete -c stored -f
${lines.join('\n')}
`
}

function flagLine({ name, short, value, help, complete }: Flag, command: string | undefined): string {
  const when = command === undefined ? '' : ` -n '__stored_is "${command}"'`
  const names = `-l ${name}${short === undefined ? '' : ` -s ${short}`}`
  return `complete -c stored${when} ${names}${value === undefined ? '' : ` -r${choices(complete)}`} -d ${fishQuote(help)}`
}

function argumentLine(command: string, complete: Completion | undefined, at: number, repeats: boolean): string[] {
  if (complete === undefined) return []
  return [`complete -c stored -n '__stored_is "${command}" ${at}${repeats ? ' more' : ''}'${choices(complete)}`]
}

function choices(complete: Completion | undefined): string {
  if (complete === undefined) return ' -f'
  if (complete === 'file') return ' -F'
  if (complete === 'directory') return ` -f -a '(__fish_complete_directories)'`
  if (complete === 'backend') return ` -f -a '(stored completion backends 2>/dev/null)'`
  if (complete === 'option') return ` -f -a '(__stored_options)'`
  return ` -f -a ${fishQuote(complete.join(' '))}`
}

function fishQuote(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}
