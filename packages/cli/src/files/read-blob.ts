import type { Readable } from 'node:stream'
import type { BlobRecord, GetOptions, StoreD } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import type { Context } from '../session/context.ts'
import { type ByteRange, parseRange } from './byte-range.ts'

export interface Blob {
  readonly record: BlobRecord
  /** How many bytes are read. */
  readonly length: number
  /** @see readWith */
  read<T>(use: (bytes: AsyncIterable<Uint8Array>) => Promise<T>, options: Beginnings): Promise<T>
}

export interface Beginnings {
  /** Whether `use` may be called again, because nothing it received before has been shown. */
  readonly mayBeginAgain: boolean
}

/** The blob that `get` and `cat` read, according to their flags. @throws {StorageError} NOT_FOUND. */
export async function findBlob(store: StoreD, { input, signal }: Context): Promise<Blob> {
  const name = input.first
  const record = await store.stat(name)
  if (!record) throw new StorageError('NOT_FOUND', { op: 'get', key: name })
  const text = input.text('range')
  const range = text === undefined ? undefined : parseRange(text, record.size)
  const isWhole = range === undefined || input.has('verify')
  const backends = input.texts('backend')
  const options = {
    signal,
    ...(backends.length > 0 && { backends }),
    ...(input.has('fallback') && { fallback: true }),
    ...(!isWhole && { range }),
  }
  return {
    record,
    length: range?.length ?? record.size,
    // By key: the blob's other keys may have other copies.
    read: (use, beginnings) =>
      readWith(store, name, options, beginnings, (body) => use(range && isWhole ? cut(body, range) : body)),
  }
}

/**
 * Reads a blob with `use`. If a copy fails after it has already delivered bytes, reads again from the next copy if the
 * flags allow others. `get` itself handles copies that fail earlier.
 */
export async function readWith<T>(
  store: StoreD,
  name: string,
  options: GetOptions,
  { mayBeginAgain }: Beginnings,
  use: (body: Readable) => Promise<T>,
): Promise<T> {
  const mayFallBack = options.fallback ?? options.backends !== undefined
  let chosen = options.backends
  let failure: unknown
  for (;;) {
    const body = await store
      .get(name, { ...options, ...(chosen && { backends: chosen }), stream: true })
      // Having no other copy does not explain why the first one failed.
      .catch((error: unknown) => Promise.reject(failure ?? error))
    try {
      return await use(body)
    } catch (error) {
      const { errored } = body
      if (!mayBeginAgain || !mayFallBack || options.signal?.aborted || !StorageError.is(errored)) throw error
      // Staged or cached bytes name no backend, so all backends remain.
      const names = chosen ?? (await store.listBackends()).map((backend) => backend.name)
      const others = names.filter((backend) => backend !== errored.at.backend)
      if (others.length === 0 || (chosen && others.length === chosen.length)) throw failure ?? error
      chosen = others
      failure ??= error
    }
  }
}

/** Part of a blob that is read to the end, where it is verified. */
async function* cut(body: Readable, { offset, length }: ByteRange): AsyncGenerator<Uint8Array, void, void> {
  let at = 0
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    const part = chunk.subarray(Math.max(0, offset - at), Math.max(0, offset + length - at))
    if (part.length > 0) yield part
    at += chunk.length
  }
}
