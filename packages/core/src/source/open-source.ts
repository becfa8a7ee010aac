import { ReadStream } from 'node:fs'
import { Socket } from 'node:net'
import { types } from 'node:util'
import { type ErrorLocation, StorageError } from '../backend/error.ts'
import { fed } from './feed.ts'
import { openFile, pathOf } from './file.ts'
import { feedOf, streamFeed } from './iterables.ts'
import { inMemory } from './memory.ts'
import type { BlobSource, OpenSourceOptions, Source } from './source.ts'

/**
 * Opens a source for one reading. What lies in memory is opened synchronously.
 *
 * @throws {StorageError} INVALID_ARGUMENT for what is no source, a directory, a device, a buffer that was detached, a stream that
 *   was read before · for a path, NOT_FOUND and PERMISSION_DENIED · SOURCE_FAILED for a stream that has failed. While it is read:
 *   INVALID_ARGUMENT for a chunk that is not bytes · SOURCE_CHANGED when the file, or the buffer, is no longer what it was ·
 *   SOURCE_FAILED, with what the source threw as its cause; a StorageError passes as it is · `signal.reason`.
 */
export function openSource(source: BlobSource, options: OpenSourceOptions = {}): Source | Promise<Source> {
  const { at = { op: 'put' } } = options
  try {
    return open(source, options, at)
  } catch (cause) {
    if (StorageError.is(cause) || options.signal?.aborted) throw cause
    // A Proxy, or what only has the prototype of a stream.
    throw new StorageError('INVALID_ARGUMENT', at, { cause, detail: 'the source cannot be opened' })
  }
}

function open(
  source: unknown,
  { signal, reuse = false }: OpenSourceOptions,
  at: ErrorLocation,
): Source | Promise<Source> {
  if (ArrayBuffer.isView(source) || types.isAnyArrayBuffer(source)) return inMemory(source, signal, at)
  if (typeof source === 'string' || source instanceof URL) return openFile(pathOf(source, at), signal, at, reuse)
  if (source instanceof Blob)
    return fed(streamFeed(source.stream(), at), signal, at, { size: source.size, owned: true })
  return fed(feedOf(source, at), signal, at, isOfNode(source) ? { owned: true } : {})
}

/**
 * Whether it is a stream of Node.js itself, which reads each chunk into memory of its own. Any other stream may fill one buffer again and
 * again.
 */
function isOfNode(source: unknown): boolean {
  if (source instanceof ReadStream || source instanceof Socket) return true
  // Not imported: where there is such a message, the module is loaded already.
  const isMessage = typeof source === 'object' && source !== null && 'httpVersion' in source
  return isMessage && source instanceof process.getBuiltinModule('node:http').IncomingMessage
}
