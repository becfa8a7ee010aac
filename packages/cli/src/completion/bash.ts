import type { Command, Completion } from '../command-line/command.ts'
import { type CommandWords, firstWords, groupsOf, secondWords, VALUES, valueFlags, wordsOf } from './words.ts'

/** Completions for bash 3.2 and later. */
export function bashCompletion(commands: readonly Command[]): string {
  const values = valueFlags(commands)
  return `# Completions of stored for bash: eval "$(stored completion bash)"
_stored_words() {
  local IFS=$'\\n'
  COMPREPLY=($(compgen -W "$1" -- "$2"))
}

_stored_paths() {
  local IFS=$'\\n'
  compopt -o filenames 2>/dev/null
  COMPREPLY=($(compgen "$1" -- "$2"))
}

# Never runs the first word of the line: it may be an untrusted program in this directory.
_stored_backends() {
  _stored_words "$(stored completion backends 2>/dev/null)" "$1"
}

# bash splits words at = and :.
_stored_options() {
  case "$1" in
    =) _stored_paths -f '' ;;
    *@*) compopt -o nospace 2>/dev/null; _stored_words $'${VALUES.join('\\n')}' "@\${1##*@}" ;;
    *) _stored_paths -f "$1" ;;
  esac
}

_stored() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}" first= second= args=0 i
  COMPREPLY=()
  case "$prev" in
${[...values].map(([flag, complete]) => `    ${flag}) ${action(complete)}; return ;;`).join('\n')}
  esac
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "\${COMP_WORDS[i]}" in
      ${[...values.keys()].join('|')}) ((i++)) ;;
      -?*) ;;
      *)
        if [[ -z $first ]]; then first="\${COMP_WORDS[i]}"
        elif [[ -z $second && " ${groupsOf(commands).join(' ')} " == *" $first "* ]]; then second="\${COMP_WORDS[i]}"
        else ((args++))
        fi ;;
    esac
  done
  case "$first\${second:+ $second}" in
    '') [[ $cur == -* ]] || _stored_words ${list(firstWords(commands).map(([word]) => word))} "$cur" ;;
${groupsOf(commands)
  .map((group) => `    ${group}) _stored_words ${list(secondWords(commands, group).map(([word]) => word))} "$cur" ;;`)
  .join('\n')}
${wordsOf(commands).map(commandCase).join('\n')}
  esac
}

complete -F _stored stored
`
}

function commandCase({ name, flags, args, repeats }: CommandWords): string {
  const names = flags.flatMap(({ name, short }) => [`--${name}`, ...(short === undefined ? [] : [`-${short}`])])
  const cases = args.map((complete, i) => {
    const isLast = i === args.length - 1
    return `        ${isLast && repeats ? '*' : i}) ${action(complete)} ;;`
  })
  const byPlace = cases.length === 0 ? ':' : `case $args in\n${cases.join('\n')}\n      esac`
  return `    '${name}')
      if [[ $cur == -* ]]; then _stored_words ${list(names)} "$cur"
      else ${byPlace}
      fi ;;`
}

function action(complete: Completion | undefined): string {
  if (complete === undefined) return ':'
  if (complete === 'file') return '_stored_paths -f "$cur"'
  if (complete === 'directory') return '_stored_paths -d "$cur"'
  if (complete === 'backend') return '_stored_backends "$cur"'
  if (complete === 'option') return '_stored_options "$cur"'
  return `_stored_words ${list(complete)} "$cur"`
}

/** Split by `compgen -W` using our IFS. */
function list(words: readonly string[]): string {
  return `$'${words.join('\\n')}'`
}
