/** A command of a guide, and its output. */
export interface Step {
  readonly command: string
  /** The line of the command in the guide; 1-based. */
  readonly line: number
  readonly output: readonly string[]
}

const FENCE = '```'
const LABEL = '```console'
const PROMPT = '$ '

/** The commands of the `console` blocks of a guide, in order. */
export function stepsOf(markdown: string): Step[] {
  const steps: { command: string; line: number; output: string[] }[] = []
  for (const { text, line } of consoleLines(markdown)) {
    if (text.startsWith(PROMPT)) steps.push({ command: text.slice(PROMPT.length), line, output: [] })
    else steps.at(-1)?.output.push(text)
  }
  return steps
}

/** The guide with other outputs below its commands. */
export function withOutputs(markdown: string, outputs: readonly (readonly string[])[]): string {
  const inside = new Set([...consoleLines(markdown)].map(({ line }) => line))
  let step = 0
  return markdown
    .split('\n')
    .flatMap((text, i) => {
      if (!inside.has(i + 1)) return [text]
      return text.startsWith(PROMPT) ? [text, ...(outputs[step++] ?? [])] : []
    })
    .join('\n')
}

/** A line without what differs between runs: times, ages, and disk sizes. */
export function normalized(line: string): string {
  return line
    .replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/g, '0000-00-00 00:00:00')
    .replaceAll(/, (\d+ s|[\d:]+) ago$/g, ', 0 s ago')
    .replaceAll(/ of [\d.]+ [kMGTP]?B$/g, ' of 0 B')
}

/** Compares what a terminal shows for a step with the guide. Empty if they agree. */
export function differences(file: string, { command, line, output }: Step, shown: readonly string[]): string[] {
  const lines = Math.max(output.length, shown.length)
  for (let i = 0; i < lines; i++) {
    const [expected, actual] = [output[i], shown[i]]
    if (expected !== undefined && actual !== undefined && normalized(expected) === normalized(actual)) continue
    return [
      `${file}:${line + 1 + i}: ${command}`,
      ...output.slice(i).map((text) => `  - ${text}`),
      ...shown.slice(i).map((text) => `  + ${text}`),
    ]
  }
  return []
}

function* consoleLines(markdown: string): Generator<{ text: string; line: number }> {
  let isInside = false
  for (const [i, text] of markdown.split('\n').entries()) {
    if (text.startsWith(FENCE)) isInside = text === LABEL
    else if (isInside) yield { text, line: i + 1 }
  }
}
