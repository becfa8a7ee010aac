// The code blocks of documents, by kind.

/** Checked languages. Other blocks of a document are ignored. */
export type Language = 'ts' | 'sh' | 'json'

export interface Example {
  readonly file: string
  /** The line of its first line of code in `file`; 1-based. */
  readonly line: number
  readonly language: Language
  readonly code: string
  /** The file that it shows, from its label: `ts file=src/driver.ts`. Other blocks of the document find it there. */
  readonly name?: string
  /** Whether it is run; a `ts no-run` block is still type-checked. */
  readonly run: boolean
}

export interface Failure {
  readonly file: string
  readonly line: number
  readonly message: string
}

const FENCE = /^([ \t]*)(`{3,})([^\n`]*)\n([\s\S]*?)^\1\2[ \t]*$/gm
const CHECKED: ReadonlySet<string> = new Set<Language>(['ts', 'sh', 'json'])
const SHOWN = new Set(['', 'text', 'yaml'])

/** The code blocks of a document; an unknown label would leave a block unchecked. */
export function examplesOf(file: string, markdown: string): { examples: Example[]; failures: Failure[] } {
  const examples: Example[] = []
  const failures: Failure[] = []
  for (const { index, 1: indent = '', 3: label = '', 4: code = '' } of markdown.matchAll(FENCE)) {
    const line = markdown.slice(0, index).split('\n').length + 1
    const [language = '', ...flags] = label.trim().split(/\s+/)
    const name = /(?:^| )file=(\S+)/.exec(label)?.[1]
    const unknown = flags.filter((flag) => flag !== 'no-run' && flag !== `file=${name}`)
    if (!isChecked(language) && !SHOWN.has(language)) unknown.unshift(language)
    if (unknown.length > 0)
      failures.push({ file, line: line - 1, message: `no block is labelled ${unknown.join(' ')}` })
    else if (isChecked(language)) {
      const run = !flags.includes('no-run')
      examples.push({ file, line, language, code: outdent(code, indent), run, ...(name !== undefined && { name }) })
    }
  }
  return { examples, failures }
}

/** The examples in the documentation comments of a module: one program, since each continues those before it. */
export function programOf(file: string, source: string): ReturnType<typeof examplesOf> {
  const comments = source.replaceAll(/^(?! *\*).*$/gm, '').replaceAll(/^( *)\*(?!\/)/gm, '$1 ')
  const { examples, failures } = examplesOf(file, comments)
  return { examples: [{ file, line: 1, language: 'ts', code: inPlace(examples), run: true }], failures }
}

function isChecked(label: string): label is Language {
  return CHECKED.has(label)
}

function outdent(code: string, indent: string): string {
  return indent === '' ? code : code.replaceAll(new RegExp(`^${indent}`, 'gm'), '')
}

/** Blocks of one document in order, each at its own lines, so that line numbers in messages are right. */
export function inPlace(examples: readonly Example[]): string {
  let text = ''
  let at = 1
  for (const { line, code } of examples) {
    text += '\n'.repeat(line - at) + code
    at = line + code.split('\n').length - 1
  }
  return text
}
