import type { Stat, StorageBackend } from '../backend/contract.ts'
import { StorageError, type StorageErrorCode } from '../backend/error.ts'
import type { Operation } from './operation.ts'
import { type OpenedRange, slice } from './ranges.ts'
import { type RetryPolicy, retried, waited } from './retry.ts'
import { discardBody, pull } from './stream.ts'

/** Errors from opening the rest of a blob after another has replaced it. */
const OTHER_BLOB: ReadonlySet<StorageErrorCode> = new Set(['PRECONDITION_FAILED', 'RANGE_NOT_SATISFIABLE'])

export interface ResumeContext {
  readonly operation: Operation
  readonly policy: RetryPolicy
  /** Opens the rest after the first `done` bytes; `null` if nothing could prove that it is still the same blob. */
  readonly reopen: ((done: number) => Promise<OpenedRange>) | null
}

/**
 * The bytes of an opened range. If they break off because of a temporary failure, reads the rest again.
 *
 * @throws {StorageError} CONFLICT: it was overwritten while being read, and the rest of the old bytes no longer exists.
 */
export async function* resumed(first: OpenedRange, context: ResumeContext): AsyncGenerator<Uint8Array, void, void> {
  const { operation, policy, reopen } = context
  let opened = first
  let done = 0
  for (let failures = 0; ; failures++) {
    const before = done
    try {
      for await (const chunk of chunksOf(opened, operation)) {
        done += chunk.byteLength
        yield chunk
      }
      return
    } catch (error) {
      const failure = operation.failure(error)
      if (done > before) failures = 0
      if (failure.code === 'CONFLICT' || !reopen || !(await waited(policy, operation, failure, failures))) throw failure
      opened = await retried(policy, operation, () => reopen(done)).catch((error) => {
        throw overtaken(error, operation)
      })
    }
  }
}

/** Whether a blob of this driver can be told apart from its replacement. */
export function isRecognizable({ capabilities }: StorageBackend, { etag }: Stat): boolean {
  return capabilities.range === true && capabilities.etag !== 'weak' && etag !== undefined
}

/** @throws {StorageError} PRECONDITION_FAILED: it is another blob now. */
export async function expectSame(opened: OpenedRange, { etag }: Stat, { at }: Operation): Promise<OpenedRange> {
  if (opened.stat.etag === etag) return opened
  await discardBody(opened.body)
  throw new StorageError('PRECONDITION_FAILED', at)
}

/** The same error however the replacement was detected: the reader need not know about conditions. */
function overtaken(error: StorageError, { at }: Operation): StorageError {
  if (!OTHER_BLOB.has(error.code)) return error
  return new StorageError('CONFLICT', at, { cause: error, detail: 'it was overwritten while being read' })
}

function chunksOf({ body, skip, length }: OpenedRange, operation: Operation): AsyncGenerator<Uint8Array, void, void> {
  const chunks = pull(body, operation)
  return skip === undefined ? chunks : slice(chunks, skip, length)
}
