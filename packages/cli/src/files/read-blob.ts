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
  /** Whether `use` may be called again, since nobody has seen what it was given before. */
  readonly mayBeginAgain: boolean
}

/** What `get` and `cat` read, as their flags say. @throws {StorageError} NOT_FOUND. */
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
    // By key: another key of the blob may have other copies.
    read: (use, beginnings) =>
      readWith(store, name, options, beginnings, (body) => use(range && isWhole ? cut(body, range) : body)),
  }
}

/**
 * Reads a blob with `use`: again from the next copy, where others may be tried, when one fails that had already given out bytes.
 * What fails before, `get` itself replaces.
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
      // That there is no other copy does not explain what the first one failed with.
      .catch((error: unknown) => Promise.reject(failure ?? error))
    try {
      return await use(body)
    } catch (error) {
      const { errored } = body
      if (!mayBeginAgain || !mayFallBack || options.signal?.aborted || !StorageError.is(errored)) throw error
      // What was staged or cached names none: all backends are left then.
      const names = chosen ?? (await store.listBackends()).map((backend) => backend.name)
      const others = names.filter((backend) => backend !== errored.at.backend)
      if (others.length === 0 || (chosen && others.length === chosen.length)) throw failure ?? error
      chosen = others
      failure ??= error
    }
  }
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
