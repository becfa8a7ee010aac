import type { Index, Ledger, Queue, Staging, SyncTarget } from '@stored/core'

export interface Services {
  readonly ledger: Ledger
  readonly index: Index
  readonly queue: Queue
  readonly staging: Staging
  target(backend: string): SyncTarget | undefined
}
