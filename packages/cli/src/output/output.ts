import { once } from 'node:events'
import type { Writable } from 'node:stream'
import type { WriteStream } from 'node:tty'
import { describeFault } from '../fault.ts'
import { printable } from './format.ts'
import { Progress } from './progress.ts'
import type { NewRecord } from './records.ts'
import { type Column, Table } from './table.ts'

export interface OutputOptions {
  readonly stdout: Writable
  readonly stderr: WriteStream
  readonly json: boolean
  readonly quiet: boolean
  readonly verbose: boolean
  readonly color: boolean
  readonly progress: boolean
}

/** All that a command says: records for programs, or lines for people. Results on stdout, everything else on stderr. */
export class Output {
  readonly isJson: boolean
  readonly isVerbose: boolean
  readonly progress: Progress
  readonly #stderr: WriteStream
  readonly #quiet: boolean
  readonly #color: boolean
  readonly #referred = new Set<string>()
  #stdout: Writable

  constructor({ stdout, stderr, json, quiet, verbose, color, progress }: OutputOptions) {
    this.#stdout = stdout
    this.#stderr = stderr
    this.isJson = json
    this.isVerbose = verbose
    this.#quiet = quiet
    this.#color = color
    this.progress = new Progress(progress ? stderr : null)
  }

  /** Where stdout carries a blob, records go to stderr. */
  leaveStdoutToBytes(): void {
    this.#stdout = this.#stderr
  }

  /** A record for programs. Nothing without `--json`. */
  async record(record: NewRecord): Promise<void> {
    if (this.isJson) await this.#print(JSON.stringify({ v: 1, ...record }))
  }

  /** A line for people. Nothing with `--json`. */
  async line(text: string): Promise<void> {
    if (!this.isJson) await this.#print(text)
  }

  /** Either of them, whichever is asked for. */
  async tell(record: NewRecord, text: string): Promise<void> {
    await (this.isJson ? this.record(record) : this.line(text))
  }

  /** For people; its rows are dropped with `--json`. */
  table(columns: readonly Column[]): Table {
    return new Table(
      columns,
      (line) => this.line(line),
      (text) => this.paint('1', text),
    )
  }

  /** What is no result: on stderr, unless it shall be quiet. */
  note(text: string): void {
    if (!this.#quiet && !this.isJson) this.#complain(printable(text))
  }

  /** A failure, and what it was about. */
  async fault(error: unknown, subject?: string): Promise<void> {
    const { code, message, url } = describeFault(error)
    if (this.isJson) {
      await this.record({
        type: 'error',
        code,
        message,
        ...(url !== undefined && { url }),
        ...(subject !== undefined && { subject }),
      })
      return
    }
    const about = subject === undefined || names(message, subject) ? '' : `${subject}: `
    this.#complain(`${this.paint('31', 'stored:')} ${printable(about + message)}`)
    if (this.isVerbose) this.#complainOfCauses(error)
    if (url !== undefined) this.#refer(url)
  }

  /** @param code Of SGR: 1 bold, 2 faint, 31 red, 32 green, 33 yellow. */
  paint(code: string, text: string): string {
    return this.#color ? `\x1b[${code}m${text}\x1b[0m` : text
  }

  /** Once for each page: a thousand keys may fail alike. */
  #refer(url: string): void {
    if (this.#referred.has(url)) return
    this.#referred.add(url)
    this.#complain(this.paint('2', `  see ${url}`))
  }

  #complainOfCauses(error: unknown): void {
    for (let cause = causeOf(error); cause !== undefined; cause = causeOf(cause))
      this.#complain(`  because: ${printable(describeFault(cause).message)}`)
  }

  #complain(text: string): void {
    this.progress.clear()
    this.#stderr.write(`${text}\n`)
  }

  /** Waits while the reader is slower than we are: nothing piles up here. */
  async #print(line: string): Promise<void> {
    this.progress.clear()
    if (this.#stdout.write(`${line}\n`) || this.#stdout.destroyed) return
    await Promise.race([once(this.#stdout, 'drain'), once(this.#stdout, 'close')])
  }
}

function names(message: string, subject: string): boolean {
  return message.startsWith(`${subject} `) || message.includes(JSON.stringify(subject))
}

function causeOf(error: unknown): unknown {
  return error instanceof Error ? error.cause : undefined
}
