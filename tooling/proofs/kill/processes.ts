import { type ChildProcess, fork, spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { type Finding, type Inspection, MESSAGES_FD, type Message, type Work } from './protocol.ts'

const VICTIM = fileURLToPath(new URL('victim.ts', import.meta.url))
const INSPECTOR = fileURLToPath(new URL('inspector.ts', import.meta.url))
/** How many characters of its stderr are shown if it ends unexpectedly. */
const COMPLAINT = 4000
/** A lost job would be waited for forever. */
const INSPECTION_MS = 180_000

export interface VictimOptions {
  /** Environment variables besides those of this process. */
  readonly env?: Readonly<Record<string, string>>
  /** Signals that may end it before it is killed. */
  readonly mayEndWith?: readonly NodeJS.Signals[]
}

/** A process that works on the store until it is killed. */
export class Victim {
  readonly #child: ChildProcess
  readonly #ended: Promise<NodeJS.Signals>
  readonly #mayEndWith: readonly string[]
  #complaint = ''

  constructor(directory: string, work: Work, onMessage: (message: Message) => void, options: VictimOptions = {}) {
    this.#mayEndWith = ['SIGKILL', ...(options.mayEndWith ?? [])]
    const file = join(directory, 'work.json')
    writeFileSync(file, JSON.stringify(work))
    this.#child = spawn(process.execPath, [VICTIM, directory, file], {
      stdio: ['ignore', 'inherit', 'pipe', 'pipe'],
      env: { ...process.env, ...options.env },
    })
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      this.#complaint = `${this.#complaint}${chunk}`.slice(-COMPLAINT)
    })
    const lines = createInterface({ input: this.#child.stdio[MESSAGES_FD] as Readable })
    lines.on('line', (line) => {
      const message = parse(line)
      if (message) onMessage(message)
    })
    this.#ended = this.#end(lines)
    this.#ended.catch(() => {}) // Reported by kill(), and by ended().
  }

  /** Rejects if the process ends by itself. */
  async ended(): Promise<never> {
    await this.#ended
    throw new Error('the process ended by itself')
  }

  /** Resolves when it is gone and all its messages have been read. @returns The signal that ended it. */
  kill(): Promise<NodeJS.Signals> {
    this.#child.kill('SIGKILL')
    return this.#ended
  }

  async #end(lines: NodeJS.EventEmitter): Promise<NodeJS.Signals> {
    const heard = new Promise((resolve) => lines.once('close', resolve))
    const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
      this.#child.once('error', reject)
      this.#child.once('exit', (...how) => resolve(how))
    })
    await heard
    if (signal === null || !this.#mayEndWith.includes(signal))
      throw new Error(`the process ended with ${signal ?? `code ${code}`}: ${this.#complaint}`)
    return signal
  }
}

/**
 * Checks everything in a separate process.
 *
 * @param isQuiet Whether that process may fail silently: that may be the expected result.
 */
export function inspect(directory: string, inspection: Inspection, isQuiet = false): Promise<Finding> {
  const file = join(directory, 'inspection.json')
  writeFileSync(file, JSON.stringify(inspection))
  const stderr = isQuiet ? 'ignore' : 'inherit'
  const child = fork(INSPECTOR, [directory, file], {
    stdio: ['ignore', 'inherit', stderr, 'ipc'],
    timeout: INSPECTION_MS,
    killSignal: 'SIGKILL',
  })
  return new Promise((resolve, reject) => {
    let finding: Finding | undefined
    child.on('message', (message: Finding) => {
      finding = message
    })
    child.on('error', reject)
    child.on('exit', (code, signal) => {
      if (code === 0 && finding) resolve(finding)
      else reject(new Error(`the inspection ended with ${signal ?? `code ${code}`}`))
    })
  })
}

/** `null` for a line that the kill truncated. */
function parse(line: string): Message | null {
  try {
    return JSON.parse(line) as Message
  } catch {
    // A partial intent does not count yet: the call begins after it is written. A partial acknowledgement was never
    // given.
    return null
  }
}
