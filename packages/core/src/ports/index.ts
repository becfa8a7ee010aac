import type { Op } from '../backend/contract.ts'
import type { BlobFacts, BlobId } from '../model/blob.ts'
import type { BadState, Location, LocationFacts, Place, SomePlace } from '../model/copy.ts'
import type { Binding } from '../model/key.ts'
import type { Rev } from '../model/revision.ts'
import type { Ledger, Transaction } from './ledger.ts'

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

/** The canonical truth: blobs, their places and their keys. */
export interface Index {
  readonly ledger: Ledger
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
