import { type FileHandle, open } from 'node:fs/promises'
import { mapErrno } from '@stored/core/backend'

/** Flushes a directory. Callers that come while a flush is under way share the next one: the present one may have missed them. */
export class SharedSync {
  readonly #path: string
  #running: Promise<void> | null = null
  #next: Promise<void> | null = null

  constructor(path: string) {
    this.#path = path
  }

  run(): Promise<void> {
    if (!this.#running) return this.#start()
    this.#next ??= this.#running.then(
      () => this.#start(),
      () => this.#start(),
    )
    return this.#next
  }

  #start(): Promise<void> {
    this.#next = null
    const running = this.#flush().finally(() => {
      if (this.#running === running) this.#running = null
    })
    this.#running = running
    return running
  }

  async #flush(): Promise<void> {
    let handle: FileHandle | undefined
    try {
      handle = await open(this.#path)
      await handle.sync()
    } catch (error) {
      throw mapErrno(error, { op: 'put' })
    } finally {
      await handle?.close()
    }
  }
}
