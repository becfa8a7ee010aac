import type { GetResult, Stat } from '@stored/core/backend'
import type { S3Backend } from '../src/index.ts'

export const { signal } = new AbortController()
export const PART_BYTES = 5 << 20

/** This many bytes; no two parts are equal. */
export function bytesOf(size: number): Buffer {
  const bytes = Buffer.alloc(size, 'StoreD')
  for (let at = 0; at + 4 <= size; at += 4096) bytes.writeUInt32LE(at, at)
  return bytes
}

export async function* chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 64 << 10) yield bytes.subarray(at, at + (64 << 10))
}

export function put(backend: S3Backend, key: string, bytes: Uint8Array, aborts = signal): Promise<Stat> {
  return backend.put(key, chunksOf(bytes), { signal: aborts, size: bytes.length })
}

export async function read({ body }: GetResult): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(body))
}
