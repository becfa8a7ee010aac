import type { Algorithm } from '../model/blob.ts'
import type { Checksums, MimeTypeOf } from '../ports/checksums.ts'
import type { Index } from '../ports/index.ts'
import type { Ledger } from '../ports/ledger.ts'
import type { Queue } from '../ports/queue.ts'
import type { ReadCache } from '../ports/read-cache.ts'
import type { Staging } from '../ports/staging.ts'
import type { Syncer } from '../ports/syncer.ts'
import type { Backends } from './backends/backends.ts'

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
}
