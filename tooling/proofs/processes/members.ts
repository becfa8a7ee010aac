import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { MESSAGES_FD, type Message } from './protocol.ts'

const MEMBER = fileURLToPath(new URL('member.ts', import.meta.url))

/** One of the processes that have the store open. */
export class Member {
  readonly #child: ChildProcess
  readonly #opened = Promise.withResolvers<void>()
  readonly #ended: Promise<string>

  constructor(directory: string, seed: string, slot: number, onMessage: (message: Message) => void) {
    this.#child = spawn(process.execPath, [MEMBER, directory, seed, String(slot)], {
      stdio: ['pipe', 'inherit', 'inherit', 'pipe'],
    })
    const lines = createInterface({ input: this.#child.stdio[MESSAGES_FD] as Readable })
    lines.on('line', (line) => {
      const message = parse(line)
      if (message?.type === 'open') this.#opened.resolve()
      if (message) onMessage(message)
    })
    this.#ended = this.#end(lines)
    this.#ended.then(
      (how) => this.#opened.reject(new Error(`a process ended before it had opened the store, with ${how}`)),
      (error) => this.#opened.reject(error),
    )
    this.#opened.promise.catch(() => {}) // Reported by opened().
  }

  opened(): Promise<void> {
    return this.#opened.promise
  }

  /** Rejects if the process ends before it was told to. */
  async ended(): Promise<never> {
    throw new Error(`a process ended by itself, with ${await this.#ended}`)
  }

  /** Resolves when it is gone and all its messages have been read. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    const how = await this.#ended
    if (how !== 'SIGKILL') throw new Error(`a process ended with ${how}, before it could be killed`)
  }

  /** Lets it finish its calls and close the store. */
  async stop(): Promise<void> {
    this.#child.stdin?.end()
    const how = await this.#ended
    if (how !== 'code 0') throw new Error(`a process ended with ${how}`)
  }

  async #end(lines: NodeJS.EventEmitter): Promise<string> {
    const heard = new Promise((resolve) => lines.once('close', resolve))
    const how = await new Promise<string>((resolve, reject) => {
      this.#child.once('error', reject)
      this.#child.once('exit', (code, signal) => resolve(signal ?? `code ${code}`))
    })
    await heard
    return how
  }
}

/** `null` for a line that the kill truncated. */
function parse(line: string): Message | null {
  try {
    return JSON.parse(line) as Message
  } catch {
    // A partial call does not count yet: it begins after it is written. A partial answer was never given.
    return null
  }
}
