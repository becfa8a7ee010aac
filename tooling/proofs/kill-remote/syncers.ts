import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Failed, Message } from './protocol.ts'

const SYNCER = fileURLToPath(new URL('syncer.ts', import.meta.url))
/** How long it may take to report its progress. */
const ANSWER_MS = 5_000

/** A process that syncs the store. */
export class Syncer {
  readonly #child: ChildProcess
  /** How it ended. */
  readonly #ended: Promise<string>
  readonly #standing = Promise.withResolvers<readonly string[]>()
  #how: string | undefined

  /** @param file Contains its work. */
  constructor(file: string, onFailed: (failed: Failed) => void) {
    this.#child = fork(SYNCER, [file])
    this.#child.on('message', (message: Message) => {
      if (message.type === 'failed') onFailed(message)
      else this.#standing.resolve(message.lines)
    })
    this.#ended = once(this.#child, 'exit').then(([code, signal]) => {
      const how = signal ?? `code ${code}`
      this.#how = how
      return how
    })
  }

  /** It has ended by itself, or was killed. */
  get isOver(): boolean {
    return this.#how !== undefined
  }

  /** Resolves when everything is synced. @throws If it ends in another way. */
  async synced(): Promise<void> {
    const how = await this.#ended
    if (how !== 'code 0') throw new Error(`the process that syncs ended with ${how}`)
  }

  /** @returns Whether it was there to be killed. */
  async kill(): Promise<boolean> {
    this.#child.kill('SIGKILL')
    return (await this.#ended) === 'SIGKILL'
  }

  /** The state of its backend and its jobs, for people. */
  async standing(): Promise<readonly string[]> {
    if (this.#how !== undefined) return [`the process that syncs ended with ${this.#how}`]
    this.#child.send({})
    const silence = setTimeout(ANSWER_MS, [`the process that syncs says nothing for ${ANSWER_MS} ms`])
    return Promise.race([this.#standing.promise, silence])
  }
}
