import { stat } from 'node:fs/promises'
import path from 'node:path'
import type { Chunks } from '@stored/core'
import { mapErrno, StorageError } from '@stored/core/backend'
import { stagedFiles } from './owner.ts'
import { DurableStaging, type DurableStagingOptions, type Received } from './staging.ts'

/**
 * Staging whose index was lost. What a put receives lies in it already: the bytes are read, not written, and kept in the file that
 * they are in. Nothing is swept or removed.
 */
export class RecoveredStaging extends DurableStaging {
  /** The file that was given out last. */
  #file: string | undefined

  static override async open(options: DurableStagingOptions): Promise<RecoveredStaging> {
    return new RecoveredStaging(await RecoveredStaging.prepare(options))
  }

  /** @yields The path of each staged file that holds bytes. The caller puts it before it asks for the next one. */
  async *files(): AsyncGenerator<string, void, void> {
    for (const name of await stagedFiles(this.directory)) {
      const file = path.join(this.directory, name)
      const { size } = await stat(file).catch((error) => {
        throw mapErrno(error, { op: 'open' })
      })
      if (size === 0) continue
      this.#file = name
      yield file
    }
    this.#file = undefined
  }

  override async receive(source: Chunks, o: Parameters<DurableStaging['receive']>[1]): Promise<Received> {
    const file = this.#file
    if (file === undefined)
      throw new StorageError('UNSUPPORTED', { op: 'put' }, { detail: 'the store is being recovered' })
    let size = 0
    for await (const chunk of source) size += chunk.length
    const share = this.room.share(o)
    return { file, size, share, kept: false, yields: true, [Symbol.asyncDispose]: async () => {} }
  }
}
