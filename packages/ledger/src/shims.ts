// For callers that still collect guards and writes: each runs at once, inside the plan.
import type { Transaction } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import { baseOf } from './draft.ts'
import { type Reader, type Writer, writerOf } from './ledger.ts'

/** A check of what was there before this transaction. */
export function guard(tx: Transaction, check: (reader: Reader) => boolean): void {
  if (check(baseOf(tx))) return
  throw new StorageError('CONFLICT', { op: 'commit' }, { detail: 'a row changed since it was read' })
}

export function write(tx: Transaction, step: (writer: Writer) => void): void {
  step(writerOf(tx))
}

export function afterwards(tx: Transaction, action: () => void): void {
  tx.afterwards(action)
}
