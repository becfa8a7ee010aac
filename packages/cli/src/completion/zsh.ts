import type { Command, Completion } from '../command-line/command.ts'
import { type CommandWords, firstWords, groupsOf, quote, secondWords, VALUES, valueFlags, wordsOf } from './words.ts'

/** Completions for zsh 5: a file `_stored` in `fpath`, or evaluated after `compinit`. */
export function zshCompletion(commands: readonly Command[]): string {
  const values = valueFlags(commands)
  return `#compdef stored
# Completions of stored for zsh: stored completion zsh > a file _stored in a directory of fpath
# Never runs the first word of the line: it may be an untrusted program in this directory.
_stored_backends() {
  local -a names
  names=(\${(f)"$(stored completion backends 2>/dev/null)"})
  compadd -a names
}

_stored_options() {
  compset -P '*=' && compadd -S '' -- ${VALUES.join(' ')}
}

_stored() {
  local cur="\${words[CURRENT]}" prev="\${words[CURRENT-1]}" first= second=
  local -i args=0 i
  local -a known
  case "$prev" in
${[...values].map(([flag, complete]) => `    ${flag}) ${action(complete)}; return ;;`).join('\n')}
  esac
  for ((i = 2; i < CURRENT; i++)); do
    case "\${words[i]}" in
      ${[...values.keys()].join('|')}) ((i++)) ;;
      -?*) ;;
      *)
        if [[ -z $first ]]; then first="\${words[i]}"
        elif [[ -z $second && " ${groupsOf(commands).join(' ')} " == *" $first "* ]]; then second="\${words[i]}"
        else ((args++))
        fi ;;
    esac
  done
  case "$first\${second:+ $second}" in
    '')
      known=(${described(firstWords(commands))})
      _describe command known ;;
${groupsOf(commands)
  .map(
    (group) =>
      `    ${group})\n      known=(${described(secondWords(commands, group))})\n      _describe command known ;;`,
  )
  .join('\n')}
${wordsOf(commands).map(commandCase).join('\n')}
  esac
}

if [[ \${funcstack[1]} == _stored ]]; then _stored "$@"; else compdef _stored stored; fi
`
}

function commandCase({ name, flags, args, repeats }: CommandWords): string {
  const names = flags.flatMap(({ name, short, help }) => [
    [`--${name}`, help] as const,
    ...(short === undefined ? [] : [[`-${short}`, help] as const]),
  ])
  const cases = args.map(
    (complete, i) => `        ${i === args.length - 1 && repeats ? '*' : i}) ${action(complete)} ;;`,
  )
  const byPlace = cases.length === 0 ? ':' : `case $args in\n${cases.join('\n')}\n      esac`
  return `    '${name}')
      if [[ $cur == -* ]]; then
        known=(${described(names)})
        _describe flag known
      else ${byPlace}
      fi ;;`
}

function action(complete: Completion | undefined): string {
  if (complete === undefined) return ':'
  if (complete === 'file') return '_files'
  if (complete === 'directory') return '_files -/'
  if (complete === 'backend') return '_stored_backends'
  if (complete === 'option') return '_stored_options'
  return `compadd -- ${complete.join(' ')}`
}

function described(words: readonly (readonly [string, string])[]): string {
  return words.map(([word, help]) => quote(`${word}:${help.replaceAll(':', '\\:')}`)).join(' ')
}
