import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Failed } from './protocol.ts'

const SYNCER = fileURLToPath(new URL('syncer.ts', import.meta.url))

/** A process that syncs the store. */
export class Syncer {
  readonly #child: ChildProcess
  /** How it ended. */
  readonly #ended: Promise<string>
  #isOver = false

  /** @param file Holds its work. */
  constructor(file: string, onFailed: (failed: Failed) => void) {
    this.#child = fork(SYNCER, [file])
    this.#child.on('message', onFailed)
    this.#ended = once(this.#child, 'exit').then(([code, signal]) => {
      this.#isOver = true
      return signal ?? `code ${code}`
    })
  }

  /** It has ended by itself, or was killed. */
  get isOver(): boolean {
    return this.#isOver
  }

  /** Resolves when everything is synced. @throws when it ends in another way. */
  async synced(): Promise<void> {
    const how = await this.#ended
    if (how !== 'code 0') throw new Error(`the process that syncs ended with ${how}`)
  }

  /** @returns Whether it was there to be killed. */
  async kill(): Promise<boolean> {
    this.#child.kill('SIGKILL')
    return (await this.#ended) === 'SIGKILL'
  }
}
