import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'

export interface Digest {
  readonly sha256: string
  /** In bytes. */
  readonly size: number
}

/** The digest of a file, computed only with node:crypto, to compare with StoreD's. */
export function digestFile(path: string): Promise<Digest> {
  return digestOf(createReadStream(path, { highWaterMark: 1024 * 1024 }))
}

export async function digestOf(chunks: AsyncIterable<Uint8Array>): Promise<Digest> {
  const hash = createHash('sha256')
  let size = 0
  for await (const chunk of chunks) {
    hash.update(chunk)
    size += chunk.length
  }
  return { sha256: hash.digest('hex'), size }
}
