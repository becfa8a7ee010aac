import type { Op } from '../backend/contract.ts'
import type { BlobFacts, BlobId } from '../model/blob.ts'
import type { BadState, Location, LocationFacts, Place, SomePlace, Standing } from '../model/copy.ts'
import type { Binding } from '../model/key.ts'
import type { Rev } from '../model/revision.ts'
import type { Ledger, Transaction, View } from './ledger.ts'

/** A blob's facts and all its places. */
export interface Known {
  readonly facts: BlobFacts
  readonly locations: readonly Location[]
  /** Changes with the facts and with every location. */
  readonly rev: Rev
  /** Changes with the facts alone. */
  readonly factsRev: Rev
}

/** What was read: a binding, a blob with all its places, its facts alone, or one place. */
export type Read = { key: string } | { id: BlobId } | { facts: BlobId } | { place: Place }

/** Which rows of several, each read at once. */
export interface PageOptions<Position> {
  /** Begins behind this one. */
  readonly after?: Position
  /** @default 500 */
  readonly limit?: number
}

/** Where a walk goes on. Opaque. */
export type Cursor = Uint8Array

/** What of a walk is read at once. */
export interface Page<T> {
  readonly items: readonly T[]
  /** `null`: this was the last page. It may be empty while others follow. */
  readonly next: Cursor | null
}

export interface WalkOptions {
  readonly prefix?: string
  /** Begins behind this key. */
  readonly after?: string
  /** Goes on where a page ended. */
  readonly from?: Cursor | undefined
  /** Rows that are looked at. @default 500 */
  readonly limit?: number
}

/** The canonical truth: blobs, their places and their keys. */
export interface Index {
  readonly ledger: Ledger
  bindingOn(view: View, key: string): Binding | null
  /** @returns `null` also for a blob of which only places being cleaned are left. */
  factsOn(view: View, id: BlobId): BlobFacts | null
  locationOn(view: View, place: Place): Location | null
  /** The places of one key, on all backends. */
  locationsAtOn(view: View, key: string): Location[]
  /** Places of a blob that stand so, in the order of backends, then of keys: a page. */
  locationsOn(view: View, id: BlobId, standing: Standing, o?: PageOptions<Place>): Location[]
  /** Where the first places of a blob are, whatever their state: by standing, then in the order of backends and keys. */
  placesOn(view: View, id: BlobId, o: { limit: number }): Place[]
  /** Whether there is such a place: as cheap for a blob with thousands of places as for one with two. */
  hasPlaceOn(view: View, some: SomePlace): boolean
  /** Keys bound to `id`, in UTF-8 order: a page. */
  keysOn(view: View, id: BlobId, o?: PageOptions<string>): string[]
  /** Bindings in UTF-8 order of their keys: a page of what is walked through. */
  bindingsOn(view: View, o: WalkOptions): Page<Binding>
  /** Locations on one backend, in UTF-8 order of their keys: a page of what is walked through. */
  locatedOn(view: View, o: WalkOptions & { backend: string }): Page<Location>
  /** Keys of copies on one backend that stand so, in UTF-8 order, at most `limit`. Reads these alone, however many others there are. */
  badOn(view: View, o: { backend: string; state: BadState; limit: number }): string[]
  /** Which medium lay at a backend when it was first opened; `null` before. */
  mediumOn(view: View, backend: string): string | null
  binding(key: string): Promise<Binding | null>
  /** Whether `known` has an answer. */
  has(id: BlobId): Promise<boolean>
  /** @returns `null` also for a blob of which only places being cleaned are left. */
  known(id: BlobId): Promise<Known | null>
  location(place: Place): Promise<Location | null>
  /** Whether there is such a place: as cheap for a blob with thousands of places as for one with two. */
  hasPlace(some: SomePlace): Promise<boolean>
  /** Keys bound to `id`, in UTF-8 order. */
  keys(id: BlobId, o?: { signal?: AbortSignal | undefined }): AsyncIterable<string>
  /** Bindings in UTF-8 order of their keys. */
  bindings(o: Op & { prefix?: string; after?: string }): AsyncIterable<Binding>
  /** Locations on one backend, in UTF-8 order of their keys. */
  located(o: Op & { backend: string; prefix?: string; after?: string }): AsyncIterable<Location>
  /** Keys of copies on one backend that stand so, in UTF-8 order, at most `limit`. Reads these alone, however many others there are. */
  bad(o: { backend: string; state: BadState; limit: number }): Promise<readonly string[]>
  /** Guard: this row is as it was read; `null`: it is absent. */
  expect(tx: Transaction, what: Read, rev: Rev | null): void
  /** Guard: `hasPlace` still answers this. Workers that settle places of one blob side by side leave it true. */
  expectPlace(tx: Transaction, some: SomePlace, answer: boolean): void
  keep(tx: Transaction, facts: BlobFacts): void
  /** Removes the facts; places have rows of their own. */
  forget(tx: Transaction, id: BlobId): void
  bind(tx: Transaction, key: string, id: BlobId): void
  unbind(tx: Transaction, key: string): void
  /** Writes the row of one place, whoever it belonged to before. */
  locate(tx: Transaction, location: LocationFacts): void
  unlocate(tx: Transaction, place: Place): void
  /** Which medium lay at a backend when it was first opened; `null` before. */
  medium(backend: string): Promise<string | null>
  setMedium(tx: Transaction, backend: string, medium: string | null): void
}
