import type { BlobFacts, BlobId } from '../model/blob.ts'
import type { BadState, Location, LocationFacts, Place, SomePlace, Standing } from '../model/copy.ts'
import type { Binding, KeyGroup, NewBinding } from '../model/key.ts'
import type { Rev } from '../model/revision.ts'
import type { Leaving, Tenure } from '../model/tenure.ts'
import type { Ledger, Transaction, View } from './ledger.ts'

/** Which page of rows to read. */
export interface PageOptions<Position> {
  /** Starts after this one. */
  readonly after?: Position
  /** @default 500 */
  readonly limit?: number
}

/** Where a walk continues. Opaque. */
export type Cursor = Uint8Array

/** A binding, and the places of its key, whatever blob they hold. */
export interface BoundPlaces extends Omit<Binding, 'facts'> {
  readonly locations: readonly Location[]
}

/** One page of a walk. */
export interface Page<T> {
  readonly items: T[]
  /** `null`: this was the last page. It may be empty while others follow. */
  readonly next: Cursor | null
}

/** What to walk through, and how far in one look. */
export interface WalkOptions {
  readonly prefix?: string
  /** Starts after this key. */
  readonly after?: string
  /** Continues where a page ended. */
  readonly from?: Cursor | undefined
  /** How many rows to read. @default 500 */
  readonly limit?: number
}

/** The canonical truth: blobs, their places and their keys. */
export interface Index {
  readonly ledger: Ledger
  binding(view: View, key: string): Binding | null
  /** @returns `null` also for a blob of which only rows are left that are being removed. */
  facts(view: View, id: BlobId): BlobFacts | null
  /** Stands for the facts of a blob, and for which backends are to be relied on: it changes with every `keep`, and whenever a backend leaves. */
  version(view: View, id: BlobId): Rev | null
  location(view: View, place: Place): Location | null
  /** The places of one key, on all backends. */
  locationsAt(view: View, key: string): Location[]
  /** A page of the places of a blob that have this standing, ordered by backend, then by key. */
  locations(view: View, id: BlobId, standing: Standing, o?: PageOptions<Place>): Location[]
  /** Places of a blob where a copy is, or shall be: a page. */
  live(view: View, id: BlobId, o?: { readonly from?: Cursor | undefined; readonly limit?: number }): Page<Location>
  /** Places of a blob that all its keys share, and where a copy is or shall be: as many as there are backends, and former prefixes. */
  shared(view: View, id: BlobId): Location[]
  /** Whether such a place exists. As cheap for a blob with thousands of places as for one with two. */
  hasPlace(view: View, some: SomePlace): boolean
  /** A page of the keys bound to `id`, in UTF-8 order, of any owner. */
  keys(view: View, id: BlobId, o?: PageOptions<string>): string[]
  /** Each group of the keys bound to `id` once: as cheap for a blob with thousands of keys as for one with two. */
  keyGroups(view: View, id: BlobId): KeyGroup[]
  /** Whether a key wants the shared copy on a backend, but for some. */
  isShared(
    view: View,
    o: { readonly id: BlobId; readonly backend: string; readonly except?: readonly string[] },
  ): boolean
  /** A page of a walk through the bindings, in UTF-8 order of their keys, without those whose blob was deleted. Reads the rows of keys alone. */
  bindings(view: View, o: WalkOptions): Page<BoundPlaces>
  /** A page of a walk through the locations on one backend, in UTF-8 order of their keys. */
  located(view: View, o: WalkOptions & { backend: string }): Page<Location>
  /** Keys of at most `limit` copies on one backend in this state, in UTF-8 order. Reads no others, however many there are. */
  bad(view: View, o: { backend: string; state: BadState; limit: number }): string[]
  /** The medium that a backend had when it was first opened; `null` before that. */
  medium(view: View, backend: string): string | null
  tenure(view: View, backend: string): Tenure
  /** Backends that are being removed. */
  leaving(view: View): string[]
  /**
   * Makes `bad` complete: copies stand so that were not marked, after `endTenure`. Begins again where it was
   * cut off, also by another process. Without room for it it stops, until the next time.
   *
   * @throws The signal's reason, between two pages.
   */
  complete(signal?: AbortSignal): Promise<void>
  /** Writes the facts of a blob. One that was deleted lives again, without the keys that it had. */
  keep(tx: Transaction, facts: BlobFacts): void
  /** Removes the facts; places have rows of their own. Where keys of a deletion before are left, that one goes on. */
  forget(tx: Transaction, id: BlobId): void
  /** Deletes a blob with more rows than one plan may walk: the facts, and all its keys, are gone for readers. */
  beginDeletion(tx: Transaction, id: BlobId): void
  /** Keys whose blob was deleted, and whose rows are still there: some of them. */
  deletedKeys(view: View, id: BlobId, o: { limit: number }): string[]
  /** Blobs whose deletion has not ended: some of them. */
  deletions(view: View, o: { limit: number }): BlobId[]
  /** Nothing of it is left. */
  endDeletion(tx: Transaction, id: BlobId): void
  /** Writes the row of a key, whatever it was bound to before. */
  bind(tx: Transaction, binding: NewBinding): void
  unbind(tx: Transaction, key: string): void
  /** Writes the row of one place, whoever it belonged to before. A copy that is synced is one of the backend's present generation. */
  locate(tx: Transaction, location: LocationFacts): void
  unlocate(tx: Transaction, place: Place): void
  setMedium(tx: Transaction, backend: string, medium: string): void
  /** Marks a backend as being removed; `null` takes the mark back. */
  setLeaving(tx: Transaction, backend: string, leaving: Leaving | null): void
  /** The backend is removed: its copies are read as `unknown` from now on, its medium is forgotten, and `bad` is incomplete. */
  endTenure(tx: Transaction, backend: string): void
}
