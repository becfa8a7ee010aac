import { hash } from 'node:crypto'
import type { StorageBackend } from '../backend/contract.ts'
import type { GuardedBytes, GuardedReadOptions } from './guarded-backend.ts'
import type { Operation } from './operation.ts'
import { bufferOf, discardBody } from './stream.ts'
import { checkDigest, wrongSize } from './verify.ts'

/** All bytes of a blob of `size` bytes, which were hashed; `null` if it has another size. */
export async function readWhole(
  driver: StorageBackend,
  key: string,
  { size, sha256 }: GuardedReadOptions,
  operation: Operation,
): Promise<GuardedBytes | null> {
  const { signal, at } = operation
  const discard = (body: AsyncIterable<Uint8Array>) => void discardBody(body).catch(() => {})
  const { stat, body } = await operation.settle(driver.get(key, { signal }), (late) => discard(late.body))
  if (stat.size !== size) {
    discard(body)
    return null
  }
  const bytes = await collect(body, size, operation)
  checkDigest(sha256, hash('sha256', bytes), at)
  return { stat, bytes }
}

async function collect(body: AsyncIterable<Uint8Array>, size: number, operation: Operation): Promise<Buffer> {
  const iterator = body[Symbol.asyncIterator]()
  const chunks: Uint8Array[] = []
  let total = 0
  let isOpen = true
  try {
    for (;;) {
      operation.throwIfAborted()
      isOpen = false // One that failed or did not return has nothing to release.
      const step = await operation.settle(iterator.next())
      if (step.done) break
      isOpen = true
      chunks.push(step.value)
      total += step.value.byteLength
      // Not read any further: it may have no end.
      if (total > size) throw wrongSize(size, `${total} or more`, operation.at)
    }
  } finally {
    if (isOpen) void Promise.resolve(iterator.return?.()).catch(() => {})
  }
  operation.throwIfAborted()
  if (total < size) throw wrongSize(size, `only ${total}`, operation.at)
  return bufferOf(chunks)
}
