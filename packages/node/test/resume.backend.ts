import { randomUUID } from 'node:crypto'
import { appendFile, readFile, rm, truncate } from 'node:fs/promises'
import path from 'node:path'
import type { Capabilities, PutOptions, Stat } from '@stored/core/backend'
import { FsBackend } from '@stored/driver-fs'

/** Where a put is, and of what. */
interface Checkpoint {
  readonly of: string
  readonly file: string
}

/** A folder whose puts go on after a crash: what arrived lies in a file beside it, which the checkpoint names. */
export class ResumingBackend extends FsBackend {
  /** Bytes that puts of this instance brought. */
  brought = 0
  /** What puts were given to go on from. */
  readonly given: (string | undefined)[] = []
  readonly #directory: string
  readonly #onChunk: (backend: ResumingBackend) => void

  /** @param onChunk Called when a chunk was brought; may throw. */
  constructor(directory: string, onChunk: (backend: ResumingBackend) => void = () => {}) {
    super({ root: path.join(directory, 'blobs') })
    this.#directory = directory
    this.#onChunk = onChunk
  }

  override get capabilities(): Capabilities {
    return { ...super.capabilities, resume: true }
  }

  override async put(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat> {
    const { checkpoint, onCheckpoint, ...rest } = options
    this.given.push(checkpoint)
    const of = `${options.sha256} at ${key}`
    const former: Checkpoint | null = checkpoint === undefined ? null : JSON.parse(checkpoint)
    const file = former?.of === of ? former.file : path.join(this.#directory, `partial-${randomUUID()}`)
    if (file !== former?.file) await onCheckpoint?.(JSON.stringify({ of, file }))
    await this.#bring(file, body)
    const stat = await super.put(key, chunk(await readFile(file)), rest)
    await rm(file)
    return stat
  }

  async #bring(file: string, body: AsyncIterable<Uint8Array>): Promise<void> {
    const arrived = await readFile(file).catch(() => Buffer.alloc(0))
    let passed = 0
    for await (const chunk of body) {
      const before = arrived.subarray(passed, passed + chunk.byteLength)
      if (!before.equals(chunk)) {
        // At its place, also over what arrived there and differs.
        if (before.byteLength > 0) await truncate(file, passed)
        await appendFile(file, chunk)
        this.brought += chunk.byteLength
        this.#onChunk(this)
      }
      passed += chunk.byteLength
    }
  }
}

async function* chunk(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}
