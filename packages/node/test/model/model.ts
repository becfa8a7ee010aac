import type { BlobFacts, BlobId, KeyFacts, LocationState } from '@stored/core'
import { compareKeys, type StorageErrorCode } from '@stored/core/backend'
import type { Name, Setup } from './world.ts'

/** A copy that is there, or shall be. */
export interface ModelPlace {
  readonly backend: Name
  readonly key: string
  readonly id: BlobId
  /** One object for all keys of the blob. */
  readonly shared: boolean
  state: LocationState
}

export interface ModelPut {
  readonly key: string
  readonly bytes: Buffer
  readonly id: BlobId
  readonly backends: readonly Name[] | undefined
  readonly ifAbsent?: boolean | undefined
  readonly ifMatch?: BlobId | undefined
  readonly mimeType?: string | undefined
  readonly metadata?: Readonly<Record<string, unknown>> | undefined
  readonly replaceMetadata?: boolean | undefined
}

/** An entry of the log of what callers did. */
export type ModelEvent =
  | { readonly type: 'put'; readonly checksum: BlobId; readonly key: string; readonly isNew: boolean }
  | { readonly type: 'delete'; readonly checksum: BlobId; readonly keys: readonly string[] }

export const OWING: readonly LocationState[] = ['pending', 'failed', 'conflict']
export const DAMAGED: readonly LocationState[] = ['missing', 'corrupt', 'unknown']

/** A key, and what belongs to it. */
interface ModelKey extends KeyFacts {
  readonly id: BlobId
  readonly wanted: Set<Name>
}

/**
 * What a store shall show: maps instead of trees, no jobs, no time. What only time decides (which copies are synced, which bytes
 * are still staged) it takes over from what it sees, once that was found to be possible.
 */
export class Model {
  readonly bindings = new Map<string, ModelKey>()
  readonly facts = new Map<BlobId, BlobFacts>()
  readonly events: ModelEvent[] = []
  readonly paused = new Set<Name>()
  readonly #places = new Map<string, ModelPlace>()
  readonly #setup: Setup
  staged: ReadonlySet<BlobId> = new Set()
  /** A copy may have failed for good: its backend had faults, or its process died three times. */
  mayFail = false
  /** Bytes of ours may have been taken for somebody else's: they were read wrongly. */
  mayConflict = false
  /** A copy may be found damaged: two reads of it in a row may have gone wrong alike. */
  mayBeMisread = false
  crashes = 0

  constructor(setup: Setup) {
    this.#setup = setup
  }

  /** @returns The code it is to be refused with, or the event. */
  put(input: ModelPut): StorageErrorCode | ModelEvent {
    const { key, bytes, id, backends, ifAbsent, ifMatch } = input
    const bound = this.bindings.get(key)
    if (ifAbsent && bound) return 'ALREADY_EXISTS'
    if (ifMatch && bound?.id !== ifMatch) return 'PRECONDITION_FAILED'
    const isNew = !this.facts.has(id)
    const before = bound?.id === id ? bound : undefined
    if (bound && !before) {
      this.#unbind(key, bound.id)
      // It lost its last key, and goes.
      if (!this.facts.has(bound.id)) this.#log({ type: 'delete', checksum: bound.id, keys: [] })
    }
    const names = backends ?? this.#setup.names
    this.bindings.set(key, this.#keyAfter(bound, input, names))
    for (const backend of names) this.#owe(backend, key, id)
    this.facts.set(id, { id, checksums: { sha256: id.slice('sha256:'.length) }, size: bytes.length })
    return this.#log({ type: 'put', checksum: id, key, isNew })
  }

  #keyAfter(
    bound: ModelKey | undefined,
    { id, mimeType, metadata, replaceMetadata }: ModelPut,
    names: readonly Name[],
  ): ModelKey {
    const before = bound?.id === id ? bound : undefined
    const now = Date.now()
    const fields = { ...(replaceMetadata ? {} : before?.custom), ...metadata }
    return {
      id,
      mimeType: mimeType ?? before?.mimeType ?? 'application/octet-stream',
      created: bound?.created ?? now,
      modified: now,
      custom: Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null)),
      wanted: new Set([...(before?.wanted ?? []), ...names]),
    }
  }

  /** What a record says of a name, besides the blob. */
  named(name: string): object {
    const id = this.idOf(name) as BlobId
    const keys = this.keysOf(id).sort(compareKeys)
    const key = name !== id ? name : keys.includes(idKey(id)) ? idKey(id) : (keys[0] as string)
    const { id: _, wanted: __, ...facts } = this.bindings.get(key) as ModelKey
    return { key, ...facts }
  }

  /** @returns Keys unbound, and places that are lost. */
  delete(name: string): { deleted: string[]; lost: ModelPlace[] } {
    const id = this.idOf(name)
    if (!id || !this.facts.has(id)) return { deleted: [], lost: [] }
    const deleted = name === id ? this.keysOf(id) : [name]
    const before = this.placesOf(id)
    for (const key of deleted) this.#unbind(key, id)
    const after = this.placesOf(id)
    if (deleted.length > 0) this.#log({ type: 'delete', checksum: id, keys: deleted })
    return { deleted, lost: before.filter((place) => !after.includes(place)) }
  }

  /** @returns The code it is to be refused with, or the places that are lost. */
  drop(name: string, backends: readonly Name[]): StorageErrorCode | ModelPlace[] {
    const id = this.idOf(name)
    if (!id || !this.facts.has(id)) return []
    const keys = name === id ? this.keysOf(id) : [name]
    const places = this.placesOf(id)
    const isLost = (place: ModelPlace) => backends.includes(place.backend)
    const lost = places.filter((place) => isLost(place) && keys.some((key) => this.#lastsAsLongAs(place, key)))
    const dropped = lost.filter((place) => !this.#isWanted(place, keys))
    const left = places.filter((place) => !dropped.includes(place))
    if (lost.length > 0 && !this.#suffices(id, left)) return 'PRECONDITION_FAILED'
    if (
      keys.some(
        (key) =>
          this.#lasts(key, places) &&
          !this.#lasts(
            key,
            places.filter((one) => !isLost(one)),
          ),
      )
    )
      return 'PRECONDITION_FAILED'
    for (const place of dropped) this.#places.delete(nameOf(place))
    for (const key of keys) for (const backend of backends) this.bindings.get(key)?.wanted.delete(backend)
    return dropped
  }

  /** Whatever failed is owed again. */
  retry(): void {
    for (const place of this.#places.values()) if (OWING.includes(place.state)) place.state = 'pending'
  }

  idOf(name: string): BlobId | undefined {
    return name.startsWith('sha256:') ? (name as BlobId) : this.bindings.get(name)?.id
  }

  keysOf(id: BlobId): string[] {
    return [...this.bindings].filter(([, bound]) => bound.id === id).map(([key]) => key)
  }

  placesOf(id: BlobId): ModelPlace[] {
    return this.places().filter((place) => place.id === id)
  }

  places(): ModelPlace[] {
    return [...this.#places.values()]
  }

  layoutOf(backend: Name): 'key' | 'id' {
    if (backend === 'far') return this.#setup.layout
    return backend === 'ids' ? 'id' : 'key'
  }

  /** The places of a blob with a copy that a read may come to, as they are preferred: those found bad only where no other is. */
  copiesOf(id: BlobId, only?: { name: string; backend: Name }, isLast = false): ModelPlace[] {
    const isMeant = (place: ModelPlace) => !only || (place.backend === only.backend && this.isCopyOf(place, only.name))
    const there = this.placesOf(id).filter(isMeant)
    const ordered = there.sort((a, b) => this.#setup.names.indexOf(a.backend) - this.#setup.names.indexOf(b.backend))
    const synced = ordered.filter(({ state }) => state === 'synced')
    const marked = ordered.filter(({ state }) => DAMAGED.includes(state))
    return synced.length === 0 || isLast ? [...synced, ...marked] : synced
  }

  /** Whether a copy is what a name stands for: any of an id; of a key its own, and that of all keys. */
  isCopyOf({ id, key, shared }: ModelPlace, name: string): boolean {
    return name === id || shared || key === name
  }

  /** Whether each key that is owed a copy has a synced one that lasts as long as it: then nothing need be staged. */
  isCovered(places: readonly ModelPlace[]): boolean {
    const copies = places.filter(({ state }) => state === 'synced')
    const hasCopy = (key: string) => copies.some((copy) => this.#lastsAsLongAs(copy, key))
    const owing = places.filter(({ state }) => OWING.includes(state))
    const keysOf = (place: ModelPlace) => this.keysOf(place.id).filter((key) => this.#lastsAsLongAs(place, key))
    return owing.every((place) => keysOf(place).every(hasCopy))
  }

  /** Whether bytes remain for readers, and for every place that owes them. */
  #suffices(id: BlobId, left: readonly ModelPlace[]): boolean {
    const copies = left.filter(({ state }) => state === 'synced')
    const owing = left.filter(({ state }) => OWING.includes(state))
    if (this.staged.has(id) && owing.length > 0) return true
    if (copies.some(({ shared }) => shared)) return true
    return copies.length > 0 && owing.every(({ key, shared }) => !shared && copies.some((copy) => copy.key === key))
  }

  /** Whether a copy, or staged bytes for one, last as long as a key. */
  #lasts(bound: string, places: readonly ModelPlace[]): boolean {
    return places
      .filter((place) => this.#lastsAsLongAs(place, bound))
      .some(({ id, state }) => state === 'synced' || (this.staged.has(id) && OWING.includes(state)))
  }

  /** Whether a copy is the object of a key, or one of all keys that it wants. */
  #lastsAsLongAs({ backend, key, shared }: ModelPlace, bound: string): boolean {
    return shared ? this.bindings.get(bound)?.wanted.has(backend) === true : key === bound
  }

  /** Whether a key other than these wants a copy. */
  #isWanted(place: ModelPlace, except: readonly string[]): boolean {
    return this.keysOf(place.id).some((key) => !except.includes(key) && this.#lastsAsLongAs(place, key))
  }

  #owe(backend: Name, key: string, id: BlobId): void {
    const shared = this.layoutOf(backend) === 'id'
    const place = { backend, key: shared ? idKey(id) : key, id, shared, state: 'pending' as const }
    const now = this.#places.get(nameOf(place))
    if (now?.id === id && (now.state === 'synced' || now.state === 'pending')) return
    this.#places.set(nameOf(place), place)
  }

  #unbind(key: string, id: BlobId): void {
    this.bindings.delete(key)
    for (const place of this.placesOf(id))
      if (place.shared ? !this.#isWanted(place, [key]) : place.key === key) this.#places.delete(nameOf(place))
    // The last key takes along whatever is left.
    if (this.keysOf(id).length === 0) this.#forget(id)
  }

  #forget(id: BlobId): void {
    for (const place of this.placesOf(id)) this.#places.delete(nameOf(place))
    this.facts.delete(id)
  }

  #log(event: ModelEvent): ModelEvent {
    this.events.push(event)
    return event
  }
}

/** Where the blobs lie that have no key of their own. */
export function idKey(id: BlobId): string {
  const hash = id.slice('sha256:'.length)
  return `blobs/sha256/${hash.slice(0, 2)}/${hash.slice(2, 4)}/${hash}`
}

function nameOf({ backend, key }: ModelPlace): string {
  return `${backend}\0${key}`
}

/** Whether these are the backends to clean of places that are lost: where nothing was written yet, there is nothing to clean. */
export function areToClean(pending: readonly string[], lost: readonly ModelPlace[]): boolean {
  const held = lost.filter(({ state }) => !OWING.includes(state))
  const names: readonly string[] = backendsOf(lost)
  return backendsOf(held).every((name) => pending.includes(name)) && pending.every((name) => names.includes(name))
}

function backendsOf(places: readonly ModelPlace[]): Name[] {
  return [...new Set(places.map(({ backend }) => backend))].sort()
}
