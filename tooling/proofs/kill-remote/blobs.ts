import { createHash } from 'node:crypto'
import { S3Backend } from '@stored/driver-s3'
import type { Content } from '@stored/kill/content'
import { Random } from '@stored/kill/random'
import { openStore } from '@stored/node'
import { FAR, type Work } from './protocol.ts'

const PIECE = 1 << 20

/**
 * Puts this many blobs of `size` bytes into a new store, which has yet to copy them to the backend. @returns Their
 * digests, by key.
 */
export async function prepare(work: Work, seed: string, count: number, size: number): Promise<Map<string, Content>> {
  await using store = await openStore({
    path: work.store,
    backends: { [FAR]: new S3Backend(work.backend) },
    sync: false,
  })
  const contents = new Map<string, Content>()
  for (let i = 0; i < count; i++) {
    const key = `blob-${i}`
    const hash = createHash('sha256')
    await store.put(
      pieces(`${seed} ${i}`, size, (piece) => hash.update(piece)),
      { key },
    )
    contents.set(key, { seed: `${seed} ${i}`, size, sha256: hash.digest('hex') })
  }
  return contents
}

/** A blob, piece by piece: it need not fit into memory. */
async function* pieces(seed: string, size: number, onPiece: (piece: Buffer) => void): AsyncGenerator<Buffer> {
  const random = new Random(seed)
  for (let left = size; left > 0; left -= PIECE) {
    const piece = random.bytes(Math.min(PIECE, left))
    onPiece(piece)
    yield piece
  }
}
