import type { BlobId } from './blob.ts'
import type { Rev } from './revision.ts'

/** A key, and the blob it stands for. */
export interface Binding {
  readonly key: string
  readonly id: BlobId
  readonly rev: Rev
}
