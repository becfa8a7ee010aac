import { randomUUID } from 'node:crypto'
import { chmod, readFile, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { StoreConfig } from '@stored/node'

const FILE = 'verify.json'

/** The scope of an interrupted verification. */
export interface VerifyScope {
  readonly backend: string | undefined
  readonly prefix: string | undefined
  readonly sample: number | undefined
}

/** Remembers where the last verification was interrupted, in a file in the store's directory. */
export class VerifyCursor {
  readonly #file: string
  readonly #scope: string
  readonly #isShared: boolean

  constructor(
    { path: directory, mode }: Pick<StoreConfig, 'path' | 'mode'>,
    { backend = null, prefix = null, sample = null }: { [Name in keyof VerifyScope]: VerifyScope[Name] | null },
  ) {
    this.#file = path.join(directory, FILE)
    this.#isShared = mode === '0770'
    this.#scope = JSON.stringify({ backend, prefix, sample })
  }

  /** @returns `null` if no verification of this scope was interrupted. */
  async read(): Promise<string | null> {
    const text = await readFile(this.#file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null
      throw error
    })
    if (text === null) return null
    const { scope, cursor } = JSON.parse(text) as { scope: string; cursor: string }
    return scope === this.#scope ? cursor : null
  }

  /** Atomic: a reader never sees part of it. */
  async write(cursor: string): Promise<void> {
    const temp = `${this.#file}.${randomUUID()}`
    try {
      // It contains keys, so only users of the store may read it.
      await writeFile(temp, JSON.stringify({ scope: this.#scope, cursor }), { mode: 0o600 })
      if (this.#isShared) await chmod(temp, 0o660)
      await rename(temp, this.#file)
    } finally {
      await rm(temp, { force: true })
    }
  }

  /** Called when the verification has finished. */
  async clear(): Promise<void> {
    await rm(this.#file, { force: true })
  }
}
