import { type ChildProcess, fork, spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { type Finding, type Inspection, MESSAGES_FD, type Message, type Work } from './protocol.ts'

const VICTIM = fileURLToPath(new URL('victim.ts', import.meta.url))
const INSPECTOR = fileURLToPath(new URL('inspector.ts', import.meta.url))

/** A process that works on the store until it is killed. */
export class Victim {
  readonly #child: ChildProcess
  readonly #ended: Promise<void>

  constructor(directory: string, work: Work, onMessage: (message: Message) => void) {
    const file = join(directory, 'work.json')
    writeFileSync(file, JSON.stringify(work))
    this.#child = spawn(process.execPath, [VICTIM, directory, file], {
      stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
    })
    const lines = createInterface({ input: this.#child.stdio[MESSAGES_FD] as Readable })
    lines.on('line', (line) => {
      const message = parse(line)
      if (message) onMessage(message)
    })
    this.#ended = this.#end(lines)
    this.#ended.catch(() => {}) // Reported by kill(), and by ended().
  }

  /** Rejects when the process ends by itself. */
  async ended(): Promise<never> {
    await this.#ended
    throw new Error('the process ended by itself')
  }

  /** Resolves when it is gone and all that it wrote was heard. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#ended
  }

  async #end(lines: NodeJS.EventEmitter): Promise<void> {
    const heard = new Promise((resolve) => lines.once('close', resolve))
    const [code, signal] = await new Promise<[number | null, string | null]>((resolve, reject) => {
      this.#child.once('error', reject)
      this.#child.once('exit', (...how) => resolve(how))
    })
    await heard
    if (signal !== 'SIGKILL') throw new Error(`the process ended with ${signal ?? `code ${code}`}`)
  }
}

/** Looks at everything, in a process of its own. */
export function inspect(directory: string, inspection: Inspection): Promise<Finding> {
  const file = join(directory, 'inspection.json')
  writeFileSync(file, JSON.stringify(inspection))
  const child = fork(INSPECTOR, [directory, file])
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

/** `null` for a line that the kill cut short. */
function parse(line: string): Message | null {
  try {
    return JSON.parse(line) as Message
  } catch {
    // Half an intent was no intent yet: the call begins when it is written. Half an acknowledgement was never given.
    return null
  }
}
