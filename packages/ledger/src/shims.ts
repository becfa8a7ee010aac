import type { Transaction } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import { baseOf } from './draft.ts'
import type { Reader } from './ledger.ts'

/** For calls that still read before their plan: a check of what was there before this transaction, run at once. */
export function guard(tx: Transaction, check: (reader: Reader) => boolean): void {
  if (check(baseOf(tx))) return
  throw new StorageError('CONFLICT', { op: 'commit' }, { detail: 'a row changed since it was read' })
}
