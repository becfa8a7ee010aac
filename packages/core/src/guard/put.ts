import type { Capabilities, PutOptions, Stat, StorageBackend } from '../backend/contract.ts'
import { StorageError } from '../backend/error.ts'
import type { Source } from '../source/source.ts'
import { normalizeMetadata } from './arguments.ts'
import type { GuardedPutOptions } from './guarded-backend.ts'
import type { Operation } from './operation.ts'
import { checkDigest, type Digest, type Expected, Meter, wrongSize } from './verify.ts'

export interface PutContext {
  readonly driver: StorageBackend
  readonly operation: Operation
}

/**
 * Puts an opened source. The body throws instead of ending if size or digest are wrong, so that the driver stores
 * nothing. The driver's answer is then compared with the bytes that passed.
 */
export async function put(
  { driver, operation }: PutContext,
  key: string,
  source: Source,
  options: GuardedPutOptions,
): Promise<Stat & { sha256: string }> {
  const expected = expectationOf(driver.capabilities, source, options, operation)
  const sent = new Progress(operation, options.onSent)
  const meter = new Meter(digestsFor(driver.capabilities), sent.report)
  const body = new PutBody(meter.pass(source.body, expected, operation.at), operation)
  const passed = driverOptions(driver.capabilities, expected, options, sent.report, operation)
  // A driver may never read the body of an empty blob, so check first that it is empty.
  if (expected.size === 0) await body.next()
  let stat: Stat
  try {
    stat = await operation.settle(driver.put(key, body, passed))
  } catch (error) {
    throw body.failed ? body.error : error
  }
  const result = confirm(stat, meter, operation)
  sent.report(stat.size)
  return result
}

/** The size known in advance, checked against the backend's limits. */
function expectationOf(
  { limits }: Capabilities,
  source: Source,
  options: GuardedPutOptions,
  { at }: Operation,
): Expected {
  const { size = source.size, sha256 } = options
  if (size !== undefined && source.size !== undefined && size !== source.size) throw wrongSize(size, source.size, at)
  if (size === undefined && limits?.needsSize)
    throw new StorageError('INVALID_ARGUMENT', at, { detail: 'this backend must be told the size of a stream' })
  const maxSize = limits?.maxSize
  if (size !== undefined && maxSize !== undefined && size > maxSize)
    throw new StorageError('TOO_LARGE', at, { detail: `${size} bytes of at most ${maxSize}` })
  return { size, sha256, maxSize }
}

/** SHA-256, and if the backend keeps none, another digest to compare with its answer. */
function digestsFor({ checksums = [] }: Capabilities): readonly Digest[] {
  if (checksums.includes('sha256')) return ['sha256']
  if (checksums.includes('sha1')) return ['sha256', 'sha1']
  return checksums.includes('md5') ? ['sha256', 'md5'] : ['sha256']
}

/** The longest checkpoint. */
const MAX_CHECKPOINT_BYTES = 64 << 10

/** The options for the driver: only those that it declared. */
function driverOptions(
  capabilities: Capabilities,
  { size, sha256 }: Expected,
  { file, checkpoint, onCheckpoint, ifAbsent, ifMatch, contentType, metadata }: GuardedPutOptions,
  onSent: (totalBytes: number) => void,
  operation: Operation,
): PutOptions {
  const { signal, at } = operation
  return {
    signal,
    onSent,
    ...(size !== undefined && { size }),
    ...(sha256 !== undefined && { sha256 }),
    ...(capabilities.usesFile && file !== undefined && { file }),
    ...(checkpoint !== undefined && { checkpoint }),
    ...(onCheckpoint && { onCheckpoint: keeper(onCheckpoint, operation) }),
    ...(ifAbsent && { ifAbsent }),
    ...(ifMatch !== undefined && { ifMatch }),
    ...(capabilities.contentType && contentType !== undefined && { contentType }),
    ...(metadata !== undefined && capabilities.metadata && { metadata: normalizeMetadata(metadata, at) }),
  }
}

/** Saving a checkpoint is not a stall. A checkpoint that is too long, or arrives after an abort, is not saved. */
function keeper(
  keep: (checkpoint: string) => Promise<void>,
  operation: Operation,
): (checkpoint: string) => Promise<void> {
  return async (checkpoint) => {
    operation.throwIfAborted()
    if (typeof checkpoint !== 'string' || Buffer.byteLength(checkpoint) > MAX_CHECKPOINT_BYTES)
      throw new StorageError('INTERNAL', operation.at, {
        detail: `a checkpoint must be text of at most ${MAX_CHECKPOINT_BYTES} bytes`,
      })
    await keep(checkpoint)
    operation.touch()
  }
}

/**
 * Compares what the driver says it stored with the bytes that passed. A difference is `ambiguous`, because something
 * has been stored.
 */
function confirm(stat: Stat, { size, digests }: Meter, { at }: Operation): Stat & { sha256: string } {
  if (digests?.sha256 === undefined)
    throw new StorageError('INTERNAL', at, { detail: 'the driver did not read the body to its end', ambiguous: true })
  if (stat.size !== size) throw wrongSize(size, stat.size, at, true)
  for (const [name, digest] of Object.entries(digests)) checkDigest(digest, stat.checksums?.[name as Digest], at, true)
  return { ...stat, sha256: digests.sha256 }
}

/** The highest total, either reported by the driver or read from the body. */
class Progress {
  readonly #operation: Operation
  readonly #onSent: ((totalBytes: number) => void) | undefined
  #total = 0

  constructor(operation: Operation, onSent: ((totalBytes: number) => void) | undefined) {
    this.#operation = operation
    this.#onSent = onSent
  }

  readonly report = (totalBytes: number): void => {
    this.#operation.touch()
    if (totalBytes <= this.#total) return
    this.#total = totalBytes
    this.#onSent?.(totalBytes)
  }
}

/** What the driver reads. Remembers the source's error, however the driver reports it. */
class PutBody implements AsyncIterableIterator<Uint8Array, void, void> {
  readonly #chunks: AsyncGenerator<Uint8Array, void, void>
  readonly #operation: Operation
  failed = false
  error: unknown

  constructor(chunks: AsyncGenerator<Uint8Array, void, void>, operation: Operation) {
    this.#chunks = chunks
    this.#operation = operation
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<Uint8Array, void>> {
    try {
      const step = await this.#chunks.next()
      this.#operation.touch()
      this.#operation.signal.throwIfAborted()
      return step
    } catch (error) {
      this.failed = true
      this.error = error
      throw error
    }
  }

  return(): Promise<IteratorResult<Uint8Array, void>> {
    return this.#chunks.return()
  }
}
