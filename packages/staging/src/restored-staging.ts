import path from 'node:path'
import type { BlobId } from '@stored/core'
import { statIfThere } from '@stored/core/files'
import { decodeRow, END, pages, type Reader, type TreeLedger } from '@stored/ledger'
import { DurableStaging, type DurableStagingOptions } from './staging.ts'

const FIRST = Buffer.alloc(0)
/** Of a row of a blob: behind its id and a NUL. */
const TAG = 33
const STAGED = 'S'.charCodeAt(0)

/** A staged blob that lies in a file. */
export interface StagedFile {
  readonly id: BlobId
  readonly file: string
  /** In bytes. */
  readonly size: number
}

/** The staged files that an index names, a page at a time. */
export async function* stagedFilesOf(
  ledger: Pick<TreeLedger, 'look'>,
  signal?: AbortSignal,
): AsyncGenerator<StagedFile[]> {
  for await (const page of pages(ledger as TreeLedger, 'blobs', { from: FIRST, to: END, signal }))
    yield page.flatMap(([key, value]) => {
      if (key[TAG] !== STAGED) return []
      const { file, size } = decodeRow<{ readonly size: number; readonly file?: string }>(value).value
      return file === undefined ? [] : [{ id: `sha256:${key.toString('hex', 0, 32)}` as const, file, size }]
    })
}

/** What lets a `Reader` of one moment be read as a ledger is. */
export function lookingAt(reader: Reader): Pick<TreeLedger, 'look'> {
  return { look: async (read) => read(reader as never) }
}

/** Staging of an index that was restored: not all of its files may be there. Nothing is swept. */
export class RestoredStaging extends DurableStaging {
  static override async open(options: DurableStagingOptions): Promise<RestoredStaging> {
    return new RestoredStaging(await RestoredStaging.prepare(options))
  }

  /** @yields Blobs whose staged file is not there, or has another size. */
  async *lacking(signal?: AbortSignal): AsyncGenerator<BlobId> {
    for await (const page of stagedFilesOf(this.ledger, signal))
      for (const { id, file, size } of page) {
        const found = await statIfThere(path.join(this.directory, file))
        if (found?.size !== size) yield id
      }
  }
}
