import type { Algorithm, Checksums, Index, Ledger, MimeTypeOf, Queue, ReadCache, Staging, Syncer } from '../ports.ts'
import type { Backends } from './backends.ts'
import type { Turns } from './turns.ts'

/** What the operations of a store work with. */
export interface Services {
  readonly ledger: Ledger
  readonly index: Index
  readonly queue: Queue
  readonly staging: Staging
  /** Absent: every read goes to a backend. */
  readonly cache?: ReadCache | undefined
  readonly syncer: Syncer
  readonly checksums: Checksums
  readonly mimeTypeOf: MimeTypeOf
  readonly backends: Backends
  readonly defaultBackends: readonly string[] | undefined
  readonly algorithms: readonly Algorithm[]
  readonly prefix: string
  /** What a put does while staging is full. */
  readonly whenFull: 'wait' | 'refuse'
  /** By key. */
  readonly turns: Turns
}
