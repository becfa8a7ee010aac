import { once } from 'node:events'
import type { Writable } from 'node:stream'
import type { WriteStream } from 'node:tty'
import { printable } from '@stored/core/printable'
import { describeFault } from '../errors/fault.ts'
import type { Part } from './painted.ts'
import { paint } from './painted.ts'
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

/**
 * All that a command says: records for programs, or lines for people. Results on stdout, everything else on stderr.
 *
 * Nothing else writes there. Keys, names, and what services say may hold what moves the cursor of a terminal, sets its title or turns
 * the rest of the line around: all of it is shown escaped. The colours, which are escape sequences too, are added here.
 */
export class Output {
  readonly isJson: boolean
  readonly isVerbose: boolean
  readonly progress: Progress
  readonly #stderr: WriteStream
  readonly #quiet: boolean
  readonly #color: boolean
  readonly #referred = new Set<string>()
  readonly #bytes: Writable
  readonly #isTerminal: boolean
  #stdout: Writable

  constructor({ stdout, stderr, json, quiet, verbose, color, progress }: OutputOptions) {
    this.#stdout = stdout
    this.#bytes = stdout
    this.#isTerminal = (stdout as Partial<WriteStream>).isTTY === true
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
    if (this.isJson) await this.#print(printable(JSON.stringify({ v: 1, ...record })))
  }

  /** A line for people. Nothing with `--json`. */
  async line(...parts: readonly Part[]): Promise<void> {
    if (!this.isJson) await this.#print(this.#shown(parts))
  }

  /**
   * A line that other programs read: a key, an id, a script. On a terminal it is for a person like any other; elsewhere it is as it is.
   * No key has an end of a line in it.
   */
  async exact(text: string): Promise<void> {
    if (!this.isJson) await this.#print(this.#isTerminal ? printable(text) : text)
  }

  /** A record or a line, whichever is asked for. */
  async tell(record: NewRecord, ...parts: readonly Part[]): Promise<void> {
    await (this.isJson ? this.record(record) : this.line(...parts))
  }

  /** Part of a blob, to stdout. */
  async bytes(chunk: Uint8Array, signal: AbortSignal): Promise<void> {
    if (!this.#bytes.write(chunk)) await once(this.#bytes, 'drain', { signal })
  }

  /** For people; its rows are dropped with `--json`. */
  table(columns: readonly Column[]): Table {
    return new Table(columns, (line) => this.line(line))
  }

  /** What is no result: on stderr, unless it shall be quiet. */
  note(text: string): void {
    if (!this.#quiet && !this.isJson) this.#complain(text)
  }

  /** What Node.js would tell of this process: on stderr, whatever is asked for. */
  warn({ message }: Error): void {
    this.#complain(paint('33', 'warning:'), ` ${message}`)
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
    this.#complain(paint('31', 'stored:'), ` ${about}${message}`)
    if (this.isVerbose) this.#complainOfCauses(error)
    if (url !== undefined) this.#refer(url)
  }

  /** Once for each page: a thousand keys may fail alike. */
  #refer(url: string): void {
    if (this.#referred.has(url)) return
    this.#referred.add(url)
    this.#complain(paint('2', `  see ${url}`))
  }

  #complainOfCauses(error: unknown): void {
    for (let cause = causeOf(error); cause !== undefined; cause = causeOf(cause))
      this.#complain(`  because: ${describeFault(cause).message}`)
  }

  #complain(...parts: readonly Part[]): void {
    this.progress.clear()
    this.#stderr.write(`${this.#shown(parts)}\n`)
  }

  #shown(parts: readonly Part[]): string {
    return parts
      .map((part) => {
        const text = printable(typeof part === 'string' ? part : part.text)
        return typeof part === 'string' || !this.#color ? text : `\x1b[${part.sgr}m${text}\x1b[0m`
      })
      .join('')
  }

  /** Waits while the reader is slower than we are: nothing piles up here. */
  async #print(line: string): Promise<void> {
    this.progress.clear()
    if (this.#stdout.write(`${line}\n`) || this.#stdout.destroyed) return
    await Promise.race([once(this.#stdout, 'drain'), once(this.#stdout, 'close')])
  }
}

function names(message: string, subject: string): boolean {
  return message.startsWith(`${subject} `) || message.includes(printable(JSON.stringify(subject)))
}

function causeOf(error: unknown): unknown {
  return error instanceof Error ? error.cause : undefined
}
