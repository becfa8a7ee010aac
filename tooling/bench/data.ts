import { createCipheriv, hash } from 'node:crypto'
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** Bytes that look random and are the same for the same seed: the key stream of AES in counter mode. */
export function keyStream(seed: string): (length: number) => Buffer {
  const cipher = createCipheriv('aes-128-ctr', hash('sha256', seed, 'buffer').subarray(0, 16), Buffer.alloc(16))
  return (length) => cipher.update(Buffer.alloc(length))
}

/** Distinct blobs of one size. */
export function makeBlobs(count: number, size: number, seed: string): Buffer[] {
  const next = keyStream(seed)
  return Array.from({ length: count }, () => next(size))
}

export function idOf(blob: Uint8Array): `sha256:${string}` {
  return `sha256:${hash('sha256', blob)}`
}

/** Writes a file of pseudo-random bytes and leaves it in the page cache. */
export function writeLargeFile(path: string, size: number, seed: string): void {
  const next = keyStream(seed)
  const fd = openSync(path, 'wx')
  for (let left = size; left > 0; ) {
    const chunk = next(Math.min(left, 4 * 1024 * 1024))
    writeSync(fd, chunk)
    left -= chunk.length
  }
  closeSync(fd)
}

/** Writes `count` files of 1 to 64 KiB, a hundred in each folder. @returns Their paths below `root`. */
export function writeTree(root: string, count: number, seed: string): string[] {
  const next = keyStream(seed)
  return Array.from({ length: count }, (_, i) => {
    const name = join(`folder-${Math.floor(i / 100)}`, `file-${i}.bin`)
    const path = join(root, name)
    mkdirSync(dirname(path), { recursive: true })
    const fd = openSync(path, 'wx')
    writeSync(fd, next(1024 + (next(4).readUInt32LE() % (63 * 1024 + 1))))
    closeSync(fd)
    return name
  })
}

/** The items in an order that is the same for the same seed. @see Fisher and Yates, in Durstenfeld's version */
export function shuffled<T>(items: readonly T[], seed: string): T[] {
  const result = [...items]
  const next = keyStream(seed)
  for (let i = result.length - 1; i > 0; i--) {
    const j = next(4).readUInt32LE() % (i + 1)
    const item = result[i] as T
    result[i] = result[j] as T
    result[j] = item
  }
  return result
}

/** Runs `work` for each item, `limit` at a time. The first failure ends it. */
export async function inFlight<T>(
  limit: number,
  items: readonly T[],
  work: (item: T) => Promise<unknown>,
): Promise<void> {
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < items.length) await work(items[next++] as T)
  }
  await Promise.all(Array.from({ length: limit }, worker))
}
