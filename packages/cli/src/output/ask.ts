import { createInterface, type Interface } from 'node:readline'
import { Writable } from 'node:stream'
import { printable } from '@stored/core/printable'
import { Fault } from '../errors/fault.ts'

export interface Question {
  readonly text: string
  /** The answer when the user just presses Enter. */
  readonly otherwise: string
}

/**
 * Asks questions on the terminal, one after the other.
 *
 * @throws {Fault} ABORTED: stdin has ended. Or the abort reason of `signal`.
 */
export async function ask(questions: readonly Question[], signal: AbortSignal): Promise<string[]> {
  using terminal = edited(process.stderr, signal)
  const next = linesOf(terminal, signal)
  const answers: string[] = []
  for (const { text, otherwise } of questions) {
    terminal.setPrompt(printable(`${text} (${otherwise}): `))
    terminal.prompt()
    answers.push((await next()).trim() || otherwise)
  }
  return answers
}

/** Asks for secrets: does not echo the answer, and takes it verbatim. @throws As `ask`. */
export async function askSecrets(texts: readonly string[], signal: AbortSignal): Promise<string[]> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  using terminal = edited(nowhere, signal)
  const next = linesOf(terminal, signal)
  const answers: string[] = []
  for (const text of texts) {
    process.stderr.write(printable(`${text} (not shown): `))
    try {
      answers.push(await next())
    } finally {
      process.stderr.write('\n')
    }
  }
  return answers
}

/** A readline interface that shows only what is written to `output`. */
function edited(output: Writable, signal: AbortSignal): Interface {
  const terminal = createInterface({ input: process.stdin, output, terminal: true, historySize: 0, signal })
  // While readline edits the line, Ctrl-C is just a key.
  terminal.on('SIGINT', () => process.kill(process.pid, 'SIGINT'))
  return terminal
}

/** Lines that arrive before they are asked for are kept. */
function linesOf(terminal: Interface, signal: AbortSignal): () => Promise<string> {
  const lines = terminal[Symbol.asyncIterator]()
  return async () => {
    const { done, value } = await lines.next()
    signal.throwIfAborted()
    if (done) throw new Fault('ABORTED', 'no answer')
    return value
  }
}
