import { hash } from 'node:crypto'
import { Random } from './random.ts'

/** The bytes of one blob, described by how to generate them. */
export interface Content {
  readonly seed: string
  /** In bytes. */
  readonly size: number
  /** Computed with node:crypto. */
  readonly sha256: string
}

const INLINE_MAX = 64 * 1024
const FILE_MAX = 1024 * 1024

export function bytesOf({ seed, size }: Pick<Content, 'seed' | 'size'>): Buffer {
  return new Random(seed).bytes(size)
}

/** Bytes that were never stored before: empty, inline in the commit, or staged as a file. */
export function makeContent(random: Random, seed: string): Content {
  const kind = random.below(20)
  const size =
    kind === 0 ? 0 : kind < 13 ? 1 + random.below(INLINE_MAX) : INLINE_MAX + 1 + random.below(FILE_MAX - INLINE_MAX)
  return { seed, size, sha256: hash('sha256', bytesOf({ seed, size })) }
}
