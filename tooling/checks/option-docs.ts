// Texts about options outside their tables: the table in a README, and the docstrings that editors show.
import ts from 'typescript'
import type { OptionRule } from '../../packages/core/src/backend/rules.ts'

export type Described = Readonly<Record<string, Pick<OptionRule, 'doc' | 'default' | 'otherwise'>>>

/** The longest line of a docstring. */
const COLUMNS = 120

/** `readme` with the table of `options` between its two marks. */
export function withOptionTable(readme: string, options: Described): string {
  const rows = Object.entries(options).map(
    ([name, option]) => `| \`${name}\` | ${defaultOf(option)} | ${option.doc.replaceAll('|', '\\|')} |`,
  )
  const table = ['| option | default | |', '| --- | --- | --- |', ...rows].join('\n')
  const marked = /(?<=<!-- options -->\n)[\s\S]*(?=\n<!-- \/options -->)/
  if (!marked.test(readme)) throw new Error('the README has no marks for its options')
  return readme.replace(marked, () => `\n${table}\n`)
}

/** The source of a module in which the docstrings of the interface `name` match `options`. */
export function withDocstrings(source: string, name: string, options: Described): string {
  const file = ts.createSourceFile('options.ts', source, ts.ScriptTarget.Latest, true)
  const declared = file.statements.find(
    (each): each is ts.InterfaceDeclaration => ts.isInterfaceDeclaration(each) && each.name.text === name,
  )
  if (!declared) throw new Error(`there is no interface ${name}`)
  return declared.members.toReversed().reduce((text, member) => {
    const option = options[member.name?.getText(file) ?? '']
    if (!option) return text
    const start = member.getFullStart() + (source.slice(member.getFullStart()).match(/^\s*\n/)?.[0].length ?? 0)
    return text.slice(0, start) + docstring(option) + text.slice(member.getStart(file, false) - 2)
  }, source)
}

function docstring(option: Described[string]): string {
  const tag = defaultOf(option) && `@default ${defaultOf(option).replace(/^`([^`]*)`$/, '$1')}`
  const only = `${option.doc} ${tag}`.trim()
  if (only.length <= COLUMNS - 8) return `  /** ${only} */\n`
  const lines = [...wrapped(option.doc), ...(tag === '' ? [] : ['', tag])]
  return `  /**\n${lines.map((line) => `   * ${line}`.trimEnd()).join('\n')}\n   */\n`
}

function wrapped(text: string): string[] {
  const lines = ['']
  for (const word of text.split(' ')) {
    const line = lines.at(-1) as string
    if (line.length + word.length < COLUMNS) lines[lines.length - 1] = line === '' ? word : `${line} ${word}`
    else lines.push(word)
  }
  return lines
}

function defaultOf({ default: value, otherwise }: Described[string]): string {
  if (otherwise !== undefined) return otherwise
  if (value === undefined) return ''
  return `\`${JSON.stringify(value).replaceAll('"', "'")}\``
}
