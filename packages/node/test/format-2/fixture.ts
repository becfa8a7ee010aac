import type { Stat } from '@stored/core/backend'

/** What lies on a backend. */
export type Objects = readonly { readonly stat: Stat; readonly bytes: string }[]

/** A store as its process left it, and what that said of it. Bytes are base64. */
export interface Fixture {
  /** In the directory of the store, by their relative path. */
  readonly files: Readonly<Record<string, string>>
  readonly objects: Readonly<Record<'a' | 'b' | 'c', Objects>>
  readonly list: readonly {
    readonly key: string
    readonly locations: readonly { readonly backend: 'a' | 'b' | 'c'; readonly key: string; readonly shared?: true }[]
  }[]
  readonly jobs: readonly { readonly state: string; readonly backend: string; readonly key: string }[]
  readonly events: readonly object[]
}
