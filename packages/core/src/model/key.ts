import type { BlobFacts, BlobId } from './blob.ts'
import type { Rev } from './revision.ts'

/** A key, and the blob it stands for. */
export interface Binding {
  readonly key: string
  readonly id: BlobId
  /** `null`: the blob was deleted, and the key with it. Its row and its own copies are not removed yet. */
  readonly facts: BlobFacts | null
  readonly rev: Rev
}
