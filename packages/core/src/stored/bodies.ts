import { Readable } from 'node:stream'
import { type ErrorLocation, toStorageError } from '../backend/error.ts'
import type { Opened } from '../ports.ts'

/**
 * The whole body, and frees the copy.
 *
 * @param length Of what it should be. A copy that goes on is read to its end, which says that it is another one, but not kept.
 */
export async function readAll(opened: Opened, length: number): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of drain(opened)) {
    size += chunk.length
    if (size <= length) chunks.push(chunk)
  }
  const [first] = chunks
  if (chunks.length === 1 && first) return Buffer.from(first.buffer, first.byteOffset, first.byteLength)
  return Buffer.concat(chunks)
}

/** Bytes that were read already, as a copy of them. */
export function held(bytes: Buffer): Opened {
  return {
    size: bytes.length,
    body: Readable.from(bytes.length > 0 ? [bytes] : []),
    [Symbol.asyncDispose]: async () => {},
  }
}

/**
 * Frees the copy when the stream is read to its end, fails, or is destroyed, also before the first read; one that nobody reads,
 * when `signal` is aborted.
 */
export function toReadable(opened: Opened, at: ErrorLocation, signal: AbortSignal): Readable {
  const warn = (error: unknown) => process.emitWarning(error instanceof Error ? error : String(error))
  const free = () => void opened[Symbol.asyncDispose]().then(undefined, warn)
  const keep = () => signal.removeEventListener('abort', free)
  // Not by destroying the stream: nobody may listen for its error.
  signal.addEventListener('abort', free, { once: true })
  const readable = Readable.from(located(drain(opened), at, signal, keep), { objectMode: false })
  readable.once('close', () => {
    keep()
    free()
  })
  return readable
}

/** @param begin Called at the first read. */
async function* located(
  chunks: AsyncIterable<Uint8Array>,
  at: ErrorLocation,
  signal: AbortSignal,
  begin: () => void,
): AsyncGenerator<Uint8Array> {
  try {
    // What was freed must not be taken for an empty body.
    signal.throwIfAborted()
    begin()
    yield* chunks
  } catch (error) {
    throw toStorageError(error, at, signal)
  }
}

async function* drain(opened: Opened): AsyncGenerator<Uint8Array> {
  await using _ = opened
  yield* opened.body
}
