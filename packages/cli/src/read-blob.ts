import type { Readable } from 'node:stream'
import type { BlobRecord, StoreD } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import type { Context } from './context.ts'
import { type ByteRange, parseRange } from './range.ts'

export interface BlobBytes {
  readonly record: BlobRecord
  /** How many there will be. */
  readonly length: number
  readonly bytes: AsyncIterable<Uint8Array>
}

/** What `get` and `cat` read, as their flags say. @throws {StorageError} NOT_FOUND and what reading fails with. */
export async function readBlob(store: StoreD, { input, signal }: Context): Promise<BlobBytes> {
  const name = input.first
  const record = await store.stat(name)
  if (!record) throw new StorageError('NOT_FOUND', { op: 'get', key: name })
  const text = input.text('range')
  const range = text === undefined ? undefined : parseRange(text, record.size)
  const isWhole = range === undefined || input.has('verify')
  const backend = input.text('backend')
  // By key: another key of the blob may have other copies.
  const body = await store.get(name, {
    stream: true,
    signal,
    ...(backend !== undefined && { backend }),
    ...(input.has('fallback') && { fallback: true }),
    ...(!isWhole && { range }),
  })
  return { record, length: range?.length ?? record.size, bytes: range && isWhole ? cut(body, range) : body }
}

/** Part of a blob that is read to its end, where it is verified. */
async function* cut(body: Readable, { offset, length }: ByteRange): AsyncGenerator<Uint8Array, void, void> {
  let at = 0
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    const part = chunk.subarray(Math.max(0, offset - at), Math.max(0, offset + length - at))
    if (part.length > 0) yield part
    at += chunk.length
  }
}
