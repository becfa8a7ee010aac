import type { Algorithm, Checksums, Index, Ledger, MimeTypeOf, Queue, Staging, Syncer } from '../ports.ts'
import type { Backends } from './backends.ts'
import type { Turns } from './turns.ts'

/** What the operations of a store work with. */
export interface Services {
  readonly ledger: Ledger
  readonly index: Index
  readonly queue: Queue
  readonly staging: Staging
  readonly syncer: Syncer
  readonly checksums: Checksums
  readonly mimeTypeOf: MimeTypeOf
  readonly backends: Backends
  readonly defaultBackends: readonly string[] | undefined
  readonly algorithms: readonly Algorithm[]
  readonly prefix: string
  /** By key. */
  readonly turns: Turns
}
