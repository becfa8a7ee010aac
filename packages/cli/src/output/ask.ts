import { createInterface } from 'node:readline'
import { printable } from '@stored/core/printable'
import { Fault } from '../fault.ts'

export interface Question {
  readonly text: string
  /** For an empty answer. */
  readonly otherwise: string
}

/**
 * Asks on the terminal, one after the other.
 *
 * @throws {Fault} ABORTED: nobody answers any more. What `signal` was aborted with.
 */
export async function ask(questions: readonly Question[], signal: AbortSignal): Promise<string[]> {
  using terminal = createInterface({ input: process.stdin, output: process.stderr, signal })
  // On a terminal that is edited Ctrl-C is a key.
  terminal.on('SIGINT', () => process.kill(process.pid, 'SIGINT'))
  // Lines that come before they are asked for are kept.
  const lines = terminal[Symbol.asyncIterator]()
  const answers: string[] = []
  for (const { text, otherwise } of questions) {
    terminal.setPrompt(printable(`${text} (${otherwise}): `))
    terminal.prompt()
    const { done, value } = await lines.next()
    signal.throwIfAborted()
    if (done) throw new Fault('ABORTED', 'no answer')
    answers.push(value.trim() || otherwise)
  }
  return answers
}
