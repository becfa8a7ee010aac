import type { BlobFacts, BlobId } from './blob.ts'
import type { Rev } from './revision.ts'

/** What its caller said of a key. It belongs to that key alone: other keys of the same blob have their own. */
export interface KeyFacts {
  readonly mimeType: string
  /** When the key was bound, in milliseconds since the epoch. Other bytes under the same key do not change it. */
  readonly created: number
  /** When the last put or change of metadata was committed. Copies that are made, verified or repaired do not change it. */
  readonly modified: number
  readonly custom: Readonly<Record<string, unknown>>
}

/**
 * The backends that a key asked for: `own` where it has an object of its own (layout `key`), `shared` where one object serves all keys of the
 * blob (layout `id`). A shared copy goes with the last key that asked for that backend.
 */
export type WantedCopies = Readonly<Record<string, 'own' | 'shared'>>

/** What a key is bound to, and all that belongs to it. */
export interface NewBinding extends KeyFacts {
  readonly key: string
  readonly id: BlobId
  /** The size of the blob in bytes, kept here so that a list reads only the rows of keys. */
  readonly size: number
  readonly wanted: WantedCopies
  /** The package that the key belongs to. @default none: it is one of the caller's */
  readonly owner?: string
}

/** A key, and the blob it stands for. */
export interface Binding extends NewBinding {
  /** Changes with each change of the key. */
  readonly version: Rev
  /** `null`: the blob was deleted, and the key with it. Its row and its own copies are not removed yet. */
  readonly facts: BlobFacts | null
}

/** What some keys of a blob have in common. */
export interface KeyGroup {
  /** The package that they belong to. @default none: they are the caller's */
  readonly owner?: string
  /** The backends whose shared copy they want, in order. */
  readonly shared: readonly string[]
}
