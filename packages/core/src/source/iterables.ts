import { Readable } from 'node:stream'
import { type ErrorLocation, StorageError } from '../backend/error.ts'
import { describeType } from '../backend/options.ts'
import { type Feed, sourceFailed } from './feed.ts'

/** What a stream or an iterable is read from. @throws {StorageError} INVALID_ARGUMENT for what is neither. */
export function feedOf(source: unknown, at: ErrorLocation): Feed {
  if (source instanceof ReadableStream) return streamFeed(source, at)
  if (typeof source !== 'object' || source === null) throw noSource(source, at)
  if (isReadable(source)) return readableFeed(source, at)
  const { [Symbol.asyncIterator]: asynchronous, [Symbol.iterator]: synchronous } = source as Readonly<
    Record<symbol, unknown>
  >
  const begin = asynchronous ?? synchronous
  if (typeof begin !== 'function') throw noSource(source, at)
  return iteratorFeed(
    beginning(() => Reflect.apply(begin, source, []), at),
    at,
  )
}

function noSource(source: unknown, at: ErrorLocation): StorageError {
  const detail = `a source is bytes, a path, a Blob, a stream or an iterable of bytes, not ${describeType(source)}`
  return new StorageError('INVALID_ARGUMENT', at, { detail })
}

function beginning(begin: () => unknown, at: ErrorLocation): unknown {
  try {
    return begin()
  } catch (cause) {
    throw sourceFailed(cause, at)
  }
}

function iteratorFeed(iterator: unknown, at: ErrorLocation): Feed {
  if (!isIterator(iterator))
    throw new StorageError('INVALID_ARGUMENT', at, { detail: 'the iterator of the source has no method next' })
  return { next: () => iterator.next(), stop: () => iterator.return?.() }
}

function isIterator(value: unknown): value is Iterator<unknown> | AsyncIterator<unknown> {
  return typeof (value as Partial<Iterator<unknown>> | null | undefined)?.next === 'function'
}

/** Not by its own iterator: the `return` of that waits for a read that is under way, which may take forever. */
export function streamFeed(stream: ReadableStream, at: ErrorLocation): Feed {
  // The types know only of Node's own streams.
  if (stream.locked || Readable.isDisturbed(stream as unknown as Readable)) throw readBefore(at)
  const reader = stream.getReader()
  return {
    next: async () => {
      const { done, value } = await reader.read()
      return done ? { done, value: undefined } : { done, value }
    },
    stop: (reason) => reader.cancel(reason),
  }
}

/** Also one of an older or another library. */
function isReadable(source: object): source is Readable {
  const { destroy, on, [Symbol.asyncIterator]: iterate } = source as Partial<Readable>
  return [destroy, on, iterate].every((method) => typeof method === 'function')
}

/** Destroyed, not returned from, for the same reason. */
function readableFeed(readable: Readable, at: ErrorLocation): Feed {
  if (readable.errored) throw sourceFailed(readable.errored, at)
  // Whoever reads it has, or takes, what is missing here.
  if (readable.destroyed || readable.readableEnded || Readable.isDisturbed(readable) || readable.readableFlowing)
    throw readBefore(at)
  // The iterator reports an error. This is for one that comes before it is asked or after it was left, else the process ends.
  readable.on('error', () => {})
  const iterator = readable[Symbol.asyncIterator]()
  return { next: () => iterator.next(), stop: () => readable.destroy() }
}

function readBefore(at: ErrorLocation): StorageError {
  const detail = 'the stream is locked, was destroyed, or was read before: its bytes are not all there'
  return new StorageError('INVALID_ARGUMENT', at, { detail })
}
