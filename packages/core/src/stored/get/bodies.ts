import { Readable } from 'node:stream'
import { type ErrorLocation, StorageError, toStorageError } from '../../backend/error.ts'
import { bufferOf } from '../../guard/stream.ts'
import type { Opened } from '../../ports/staging.ts'
import type { Count } from '../../trace.ts'

/** Up to here a blob is read before any of its bytes is delivered, so that an error comes in time. */
export const SMALL_BYTES = 64 * 1024

/** What becomes of the bytes of a blob. */
export interface Consumer<T> {
  /** Takes all bytes of a small blob, which were verified. @default it is given as a body */
  whole?(bytes: Buffer): T
  /** @param length Of the body, in bytes. */
  read(opened: Opened, length: number): Promise<T>
}

/** What fits a Buffer everywhere. */
const MAX_BUFFER = 2 ** 31

/**
 * The whole body, and frees the copy.
 *
 * @param length Of the body, in bytes.
 * @throws {StorageError} TOO_LARGE.
 */
export async function readBuffer(opened: Opened, length: number, at: ErrorLocation): Promise<Buffer> {
  if (length <= MAX_BUFFER) return readAll(opened)
  await opened[Symbol.asyncDispose]()
  const detail = `${length} bytes do not fit a Buffer; read them with stream: true`
  throw new StorageError('TOO_LARGE', at, { detail })
}

async function readAll(opened: Opened): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of drain(opened)) chunks.push(chunk)
  return bufferOf(chunks)
}

/**
 * The body as a stream.
 *
 * @param length Of the body, in bytes.
 * @param o.count Counts its bytes for who traces it.
 */
export async function readStream(
  opened: Opened,
  length: number,
  { at, signal, count }: { at: ErrorLocation; signal: AbortSignal; count: Count },
): Promise<Readable> {
  const begun = length <= SMALL_BYTES ? await readAhead(opened, SMALL_BYTES) : opened
  return toReadable({ ...begun, body: count(begun.body) }, at, signal)
}

/**
 * The same body, of which up to `most` bytes were read: one that ends there was read to its end, whatever its copy says of its size.
 *
 * @throws What the body fails with until then.
 */
export async function readAhead(opened: Opened, most: number): Promise<Opened> {
  const body = drain(opened)
  const chunks: Uint8Array[] = []
  for (let size = 0; size <= most; ) {
    const { done, value } = await body.next()
    if (done) return { size, body: from(chunks), [Symbol.asyncDispose]: async () => {} }
    chunks.push(value)
    size += value.length
  }
  return { ...opened, body: from(chunks, body) }
}

async function* from(chunks: readonly Uint8Array[], rest?: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* chunks
  if (rest) yield* rest
}

/**
 * Frees the copy when the stream is read to its end, fails, or is destroyed, also before the first read; one that nobody reads,
 * when `signal` is aborted.
 */
function toReadable(opened: Opened, at: ErrorLocation, signal: AbortSignal): Readable {
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
