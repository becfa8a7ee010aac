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
 * All output of a command: records for programs, or lines for people. Results go to stdout, everything else to stderr.
 *
 * Nothing else writes there. Keys, names and messages of services may contain sequences that move the cursor of a
 * terminal, set its title or reverse the rest of the line. All of that is escaped; the colours, which are escape
 * sequences too, are added here.
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

  /** When stdout carries a blob, records go to stderr. */
  leaveStdoutToBytes(): void {
    this.#stdout = this.#stderr
  }

  /** Writes a record for programs. Does nothing without `--json`. */
  async record(record: NewRecord): Promise<void> {
    if (this.isJson) await this.#print(printable(JSON.stringify({ v: 1, ...record })))
  }

  /** Writes a line for people. Does nothing with `--json`. */
  async line(...parts: readonly Part[]): Promise<void> {
    if (!this.isJson) await this.#print(this.#shown(parts))
  }

  /**
   * Writes a line that other programs read: a key, an id, a script. On a terminal it is escaped like any other line;
   * elsewhere it is written unchanged. Keys contain no line breaks.
   */
  async exact(text: string): Promise<void> {
    if (!this.isJson) await this.#print(this.#isTerminal ? printable(text) : text)
  }

  /** Writes the record with `--json`, else the line. */
  async tell(record: NewRecord, ...parts: readonly Part[]): Promise<void> {
    await (this.isJson ? this.record(record) : this.line(...parts))
  }

  /** Writes part of a blob to stdout. */
  async bytes(chunk: Uint8Array, signal: AbortSignal): Promise<void> {
    if (!this.#bytes.write(chunk)) await once(this.#bytes, 'drain', { signal })
  }

  /** A table for people; with `--json` its rows are dropped. */
  table(columns: readonly Column[]): Table {
    return new Table(columns, (line) => this.line(line))
  }

  /** A message that is not a result: written to stderr, unless `--quiet`. */
  note(text: string): void {
    if (!this.#quiet && !this.isJson) this.#complain(text)
  }

  /** A warning from Node.js about this process: always written to stderr. */
  warn({ message }: Error): void {
    this.#complain(paint('33', 'warning:'), ` ${message}`)
  }

  /** Reports a failure and what it was about. */
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

  /** Waits for a slow reader, so that nothing piles up in memory. */
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
