/** A step of the guide, from its fenced blocks. */
export interface Step {
  readonly kind: StepKind
  /** The line of its first line in the guide; 1-based. */
  readonly line: number
  readonly text: string
  /** Relative to the package that is being written. */
  readonly file?: string
}

/**
 * `write`: the file has this text · `edit`: merge it into the file · `remove`: delete these declarations · `run`:
 * commands that succeed · `fails`: commands of which the last fails · `output`: what the previous commands printed.
 */
export type StepKind = 'write' | 'edit' | 'remove' | 'run' | 'fails' | 'output'

const FENCE = /^```([^\n]*)\n([\s\S]*?)^```$/gm
const KINDS: Readonly<Record<string, StepKind>> = { 'sh run': 'run', 'sh fails': 'fails', 'text output': 'output' }

/** The steps of a guide in order. Blocks with other labels are only for the reader. */
export function stepsOf(markdown: string): Step[] {
  return [...markdown.matchAll(FENCE)].flatMap(({ index, 1: label = '', 2: text = '' }) => {
    const line = markdown.slice(0, index).split('\n').length + 1
    const file = /(?:^| )file=(\S+)/.exec(label)?.[1]
    const kind = file === undefined ? KINDS[label] : kindOfFile(label)
    return kind === undefined ? [] : [{ kind, line, text, ...(file !== undefined && { file }) }]
  })
}

function kindOfFile(label: string): StepKind {
  if (label.endsWith(' edit')) return 'edit'
  return label.endsWith(' remove') ? 'remove' : 'write'
}

/**
 * The first line of `expected` that `printed` lacks after the previous ones, as a 0-based index, or `null`. `…` stands
 * for anything within a line.
 */
export function missingLine(expected: string, printed: string): number | null {
  const lines = printed.split('\n')
  let from = 0
  for (const [i, line] of expected.trimEnd().split('\n').entries()) {
    const found = lines.findIndex((text, at) => at >= from && matches(line, text))
    if (found < 0) return i
    from = found + 1
  }
  return null
}

function matches(pattern: string, line: string): boolean {
  return new RegExp(`^${pattern.split('…').map(RegExp.escape).join('.*')}$`).test(line)
}
