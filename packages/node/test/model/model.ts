import type { BlobFacts, BlobId, LocationState } from '@stored/core'
import type { StorageErrorCode } from '@stored/core/backend'
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
}

/** An entry of the log of what callers did. */
export type ModelEvent =
  | { readonly type: 'put'; readonly checksum: BlobId; readonly key: string; readonly isNew: boolean }
  | { readonly type: 'delete'; readonly checksum: BlobId; readonly keys: readonly string[] }

export const OWING: readonly LocationState[] = ['pending', 'failed', 'conflict']
export const DAMAGED: readonly LocationState[] = ['missing', 'corrupt', 'unknown']

/**
 * What a store shall show: maps instead of trees, no jobs, no time. What only time decides (which copies are synced, which bytes
 * are still staged) it takes over from what it sees, once that was found to be possible.
 */
export class Model {
  readonly bindings = new Map<string, BlobId>()
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
  put({ key, bytes, id, backends, ifAbsent, ifMatch, mimeType, metadata }: ModelPut): StorageErrorCode | ModelEvent {
    const bound = this.bindings.get(key)
    if (ifAbsent && bound) return 'ALREADY_EXISTS'
    if (ifMatch && bound !== ifMatch) return 'PRECONDITION_FAILED'
    const known = this.facts.get(id)
    if (bound && bound !== id) {
      this.#unbind(key, bound)
      // It lost its last key, and goes.
      if (!this.facts.has(bound)) this.#log({ type: 'delete', checksum: bound, keys: [] })
    }
    this.bindings.set(key, id)
    for (const backend of backends ?? this.#setup.names) this.#owe(backend, key, id)
    const now = Date.now()
    this.facts.set(id, {
      id,
      checksums: { sha256: id.slice('sha256:'.length) },
      size: bytes.length,
      mimeType: mimeType ?? known?.mimeType ?? 'application/octet-stream',
      created: known?.created ?? now,
      modified: now,
      custom: { ...known?.custom, ...metadata },
    })
    return this.#log({ type: 'put', checksum: id, key, isNew: known === undefined })
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
    const places = id ? this.placesOf(id) : []
    const dropped = places.filter((place) => backends.includes(place.backend) && this.isCopyOf(place, name))
    const left = places.filter((place) => !dropped.includes(place))
    if (dropped.length > 0 && id && !this.#suffice(id, places, left)) return 'PRECONDITION_FAILED'
    for (const place of dropped) this.#places.delete(nameOf(place))
    return dropped
  }

  /** Whatever failed is owed again. */
  retry(): void {
    for (const place of this.#places.values()) if (OWING.includes(place.state)) place.state = 'pending'
  }

  idOf(name: string): BlobId | undefined {
    return name.startsWith('sha256:') ? (name as BlobId) : this.bindings.get(name)
  }

  keysOf(id: BlobId): string[] {
    return [...this.bindings].filter(([, bound]) => bound === id).map(([key]) => key)
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

  /** Whether every place that owes bytes which are not staged has a synced copy that outlives it. */
  isCovered(places: readonly ModelPlace[]): boolean {
    const copies = places.filter(({ state }) => state === 'synced')
    const outlives = (copy: ModelPlace, { shared, key }: ModelPlace) => copy.shared || (!shared && copy.key === key)
    return places.every((place) => !OWING.includes(place.state) || copies.some((copy) => outlives(copy, place)))
  }

  /** Whether bytes remain for readers, for every place that owes them, and for every key that had some of its own. */
  #suffice(id: BlobId, places: readonly ModelPlace[], left: readonly ModelPlace[]): boolean {
    const isOwed = this.staged.has(id) && left.some(({ state }) => OWING.includes(state))
    if (!isOwed && !(left.some(({ state }) => state === 'synced') && this.isCovered(left))) return false
    return this.keysOf(id).every((key) => !this.#lasts(key, places) || this.#lasts(key, left))
  }

  /** Whether a copy, or staged bytes for one, last as long as a key. */
  #lasts(bound: string, places: readonly ModelPlace[]): boolean {
    return places
      .filter(({ key, shared }) => shared || key === bound)
      .some(({ id, state }) => state === 'synced' || (this.staged.has(id) && OWING.includes(state)))
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
    for (const place of this.placesOf(id)) if (place.key === key && !place.shared) this.#places.delete(nameOf(place))
    // The last key takes along what all keys share.
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
