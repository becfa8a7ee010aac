import type { Stat, StorageBackend } from '../backend/contract.ts'
import { StorageError, type StorageErrorCode } from '../backend/error.ts'
import type { Operation } from './operation.ts'
import { type OpenedRange, slice } from './ranges.ts'
import { type RetryPolicy, retried, waited } from './retry.ts'
import { discardBody, pull } from './stream.ts'

/** What opening the rest of a blob fails with when another has taken its place. */
const OTHER_BLOB: ReadonlySet<StorageErrorCode> = new Set(['PRECONDITION_FAILED', 'RANGE_NOT_SATISFIABLE'])

export interface ResumeContext {
  readonly operation: Operation
  readonly policy: RetryPolicy
  /** Opens what is left after the first `done` bytes; `null` where nothing tells that it is still the same blob. */
  readonly reopen: ((done: number) => Promise<OpenedRange>) | null
}

/**
 * The bytes of an opened range. If they break off for a temporary reason, the rest is read again.
 *
 * @throws {StorageError} CONFLICT: it was overwritten while it was read. What is left of it is nowhere any more.
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

/** Whether a blob of this driver can be told from one that has replaced it. */
export function isRecognizable({ capabilities }: StorageBackend, { etag }: Stat): boolean {
  return capabilities.range === true && capabilities.etag !== 'weak' && etag !== undefined
}

/** @throws {StorageError} PRECONDITION_FAILED: it is another blob by now. */
export async function expectSame(opened: OpenedRange, { etag }: Stat, { at }: Operation): Promise<OpenedRange> {
  if (opened.stat.etag === etag) return opened
  await discardBody(opened.body)
  throw new StorageError('PRECONDITION_FAILED', at)
}

/** Whatever told that it is another blob: of a condition the reader need know nothing. */
function overtaken(error: StorageError, { at }: Operation): StorageError {
  if (!OTHER_BLOB.has(error.code)) return error
  return new StorageError('CONFLICT', at, { cause: error, detail: 'it was overwritten while it was read' })
}

function chunksOf({ body, skip, length }: OpenedRange, operation: Operation): AsyncGenerator<Uint8Array, void, void> {
  const chunks = pull(body, operation)
  return skip === undefined ? chunks : slice(chunks, skip, length)
}
