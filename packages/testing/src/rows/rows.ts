import { crc32 } from 'node:zlib'
import { decode, decodeNumbers } from './encoding.ts'

/** The trees of a store, which contain its rows. */
export const TREES = [
  ...(['meta', 'blobs', 'keys', 'bytes', 'due', 'running', 'parked', 'owed', 'counts', 'events', 'packs'] as const),
]
export type Tree = (typeof TREES)[number]
export type RawRow = readonly [key: Buffer, value: Buffer]
/** All rows of a store at one moment. */
export type Dump = Readonly<Record<Tree, readonly RawRow[]>>

/** One copy's place: backend NUL key. */
export type PlaceName = string

export interface FactsRow {
  readonly size: number
  readonly checksums: { readonly sha256: string }
  readonly generation?: number
  readonly deleting?: true
}

export interface BindingRow {
  readonly id: string
  readonly size: number
  readonly mimeType: string
  readonly created: number
  readonly modified: number
  readonly custom: Readonly<Record<string, unknown>>
  readonly wanted: Readonly<Record<string, 'own' | 'shared'>>
  readonly owner?: string
  /** Of its blob, when the key was bound. */
  readonly generation?: number
}

export interface LocationRow {
  readonly id: string
  readonly state: string
  readonly shared?: boolean
  readonly holds?: { readonly id: string; readonly etag?: string }
  readonly tried?: readonly string[]
  /** The generation of its backend when a synced copy was confirmed. */
  readonly generation?: number
  /** Its backend has been removed since: the row says `synced`, and is read as `unknown`. */
  readonly isFormer?: boolean
}

export interface JobRow {
  readonly op: 'put' | 'delete'
  readonly id: string
  readonly size: number
  readonly attempts: number
  readonly seq: number
  readonly created: number
  readonly due: number
  readonly lease?: string
  readonly until?: number
  readonly marked?: boolean
  readonly since?: number
  readonly renewed?: number
  readonly rest?: number
  readonly error?: unknown
}

export type StagedRow = { readonly size: number } & (
  | { readonly pack: number; readonly offset: number }
  | { readonly file: string }
)

export interface EventRow {
  readonly position: number
  readonly value: EventValue
}

export type EventValue =
  | { readonly type: 'put'; readonly checksum: string; readonly key: string; readonly isNew: boolean }
  | { readonly type: 'delete'; readonly checksum: string; readonly keys: readonly string[]; readonly more?: true }
  | ({ readonly type: 'sync:complete' | 'sync:error' } & SyncValue)

export interface SyncValue {
  readonly checksum: string
  readonly backend: string
  readonly key: string
  readonly op: 'put' | 'delete'
}

/** Bytes of several blobs, and where those of each lie. */
export interface Pack {
  readonly bytes: Buffer
  readonly pieces: readonly { readonly id: string; readonly offset: number; readonly length: number }[]
}

/** A key as the rows of its blob name it. */
export interface KeyOfBlob {
  readonly id: string
  readonly generation: number
  /** What it wants of the copies that keys share, and whom it belongs to. */
  readonly group: string
  readonly key: string
}

/** A place as the rows of its blob name it. */
export interface PlaceOfBlob {
  readonly id: string
  readonly tag: string
  readonly place: PlaceName
  readonly generation: number
}

/** The decoded rows of a store. */
export class StoreRows {
  /** Rows that are unreadable or unknown. */
  readonly faults: string[] = []
  /** The last commit number, if it is kept. */
  last: number | undefined
  readonly bindings = new Map<string, BindingRow>()
  readonly locations = new Map<PlaceName, LocationRow>()
  readonly facts = new Map<string, FactsRow>()
  readonly keysOf: KeyOfBlob[] = []
  readonly placesOf: PlaceOfBlob[] = []
  readonly sharedOf: Pick<PlaceOfBlob, 'id' | 'place'>[] = []
  /** Blobs that are being deleted. */
  readonly deletions = new Set<string>()
  readonly waiting = new Map<PlaceName, JobRow>()
  readonly running = new Map<PlaceName, JobRow>()
  readonly parked = new Map<PlaceName, JobRow>()
  readonly due: { readonly place: PlaceName; readonly due: number; readonly seq: number }[] = []
  readonly owed: { readonly place: PlaceName; readonly seq: number; readonly created: number }[] = []
  readonly counts = new Map<string, readonly number[]>()
  readonly staged = new Map<string, StagedRow>()
  /** By id: when it was marked. */
  readonly marks = new Map<string, number>()
  readonly packs = new Map<number, Pack>()
  /** By the number of a pack: bytes, live bytes, live pieces. */
  readonly livePacks = new Map<number, readonly number[]>()
  readonly sparsePacks = new Set<number>()
  packedTotal = 0
  readonly files = new Set<string>()
  /** Files that were removed while their process may be alive. */
  readonly swept = new Set<string>()
  readonly markRows: { readonly at: number; readonly id: string }[] = []
  readonly bad: { readonly place: PlaceName; readonly state: string }[] = []
  /** How often a backend of this name was removed. Read before the rows of copies, which depend on it. */
  readonly generations = new Map<string, number>()
  /** Whether each bad copy has a mark: not for a moment after a backend was removed. */
  isBadComplete = true
  stagedTotal: readonly number[] = [0, 0]
  readonly events: EventRow[] = []
  eventCount = 0
  droppedEvent: number | undefined

  constructor(dump: Dump) {
    for (const tree of TREES)
      for (const [key, value] of dump[tree])
        try {
          if (!this.#read[tree](key, value)) throw new Error('a row that nobody knows')
        } catch (error) {
          this.faults.push(`${tree} ${JSON.stringify(key.toString('latin1'))}: ${(error as Error).message}`)
        }
  }

  readonly #read: Readonly<Record<Tree, (key: Buffer, value: Buffer) => boolean>> = {
    meta: (key, value) => this.#readMeta(key.toString(), value),
    blobs: (key, value) => this.#readBlob(key, value),
    keys: (key, value) => this.#readKey(key, value),
    bytes: (key) => this.#readBytes(key),
    due: (key) => {
      const head = key.indexOf(0) + 1
      const place = placeName(key.toString('utf8', 0, head - 1), key.toString('utf8', head + 12))
      this.due.push({ place, due: key.readIntBE(head, 6), seq: key.readUIntBE(head + 6, 6) })
      return head > 1
    },
    owed: (key, value) => {
      const head = key.indexOf(0) + 1
      const place = placeName(key.toString('utf8', 0, head - 1), key.toString('utf8', head + 6))
      this.owed.push({ place, seq: key.readUIntBE(head, 6), created: decodeNumbers(value)[0] as number })
      return head > 1
    },
    running: (key, value) => this.running.set(key.toString(), decode(value).value as JobRow).size > 0,
    parked: (key, value) => this.parked.set(key.toString(), decode(value).value as JobRow).size > 0,
    counts: (key, value) => this.counts.set(key.toString(), decodeNumbers(value)).size > 0,
    events: (key, value) => this.#readEvent(key, value),
    packs: (key, value) => this.#readPack(key, value),
  }

  #readMeta(key: string, value: Buffer): boolean {
    const [kind, backend, state, place] = key.split('\0')
    if (kind === 'seq' || kind === 'format') {
      if (kind === 'seq') this.last = value.readUIntBE(0, 6)
    } else if (kind === 'staged') this.stagedTotal = decodeNumbers(value)
    else if (kind === 'bad') this.bad.push({ place: placeName(`${backend}`, `${place}`), state: `${state}` })
    else if (kind === 'bad-copies') this.isBadComplete = false
    else if (kind === 'tenure') this.generations.set(`${backend}`, (decode(value).value as TenureRow).generation)
    else if (kind === 'deleting') this.deletions.add(`${backend}`)
    else if (KNOWN_META.has(`${kind}`)) decode(value)
    else return false
    return true
  }

  /** id (32 bytes) NUL tag suffix */
  #readBlob(key: Buffer, value: Buffer): boolean {
    const id = `sha256:${key.toString('hex', 0, 32)}`
    const tag = String.fromCharCode(key[33] as number)
    const suffix = key.toString('utf8', 34)
    if (tag === 'F') this.facts.set(id, decode(value).value as never)
    else if (tag === 'K') this.keysOf.push({ id, generation: 0, ...keyOfBlob(suffix) })
    else if (tag === 'G')
      this.keysOf.push({ id, generation: key.readUInt32BE(34), ...keyOfBlob(key.toString('utf8', 38)) })
    else if (tag === 'H') this.sharedOf.push({ id, place: suffix })
    else if (tag === 'S') this.staged.set(id, decode(value).value as StagedRow)
    else if (tag === 'R') this.marks.set(id, (decode(value).value as { readonly at: number }).at)
    else if ('LNOPQ'.includes(tag)) this.placesOf.push({ id, tag, ...placeOfBlob(suffix) })
    else return false
    return key[32] === 0
  }

  /** key NUL tag suffix */
  #readKey(row: Buffer, value: Buffer): boolean {
    const end = row.indexOf(0)
    const key = row.toString('utf8', 0, end)
    const place = placeName(row.toString('utf8', end + 2), key)
    const read = decode(value).value
    const tag = String.fromCharCode(row[end + 1] as number)
    if (tag === 'B') this.bindings.set(key, read as BindingRow)
    else if (tag === 'L') this.locations.set(place, this.#asRead(place, read as LocationRow))
    else if (tag === 'W') this.waiting.set(place, read as JobRow)
    else return false
    return true
  }

  #asRead(place: PlaceName, row: LocationRow): LocationRow {
    const isFormer = row.state === 'synced' && (row.generation ?? 0) !== (this.generations.get(backendOf(place)) ?? 0)
    return isFormer ? { ...row, state: 'unknown', isFormer } : row
  }

  /** Whether a key belongs to a deletion in progress: readers do not see it. */
  isDeleted(key: string): boolean {
    const bound = this.bindings.get(key)
    const { generation = 0, deleting = false } = this.facts.get(`${bound?.id}`) ?? {}
    return deleting || (bound?.generation ?? 0) !== generation
  }

  /** F file · X file · R age (6) id (32) */
  #readBytes(key: Buffer): boolean {
    if (key[0] === 0x46) this.files.add(key.toString('utf8', 1))
    else if (key[0] === 0x58) this.swept.add(key.toString('utf8', 1))
    else if (key[0] === 0x52 && key.length === 39)
      this.markRows.push({ at: key.readUIntBE(1, 6), id: `sha256:${key.toString('hex', 7)}` })
    else return false
    return true
  }

  /** number (6 bytes) · 0xfe number · 0xff number · 0xff 0xff */
  #readPack(key: Buffer, value: Buffer): boolean {
    if (key.length === 6) this.packs.set(key.readUIntBE(0, 6), packOf(value))
    else if (key.length === 7 && key[0] === 0xfe) this.sparsePacks.add(key.readUIntBE(1, 6))
    else if (key.length === 7 && key[0] === 0xff) this.livePacks.set(key.readUIntBE(1, 6), decodeNumbers(value))
    else if (key.equals(Buffer.of(0xff, 0xff))) this.packedTotal = decodeNumbers(value)[0] as number
    else return false
    return true
  }

  /** number of the last (6 bytes) how many (2): [number, event, …] · 0xff 0: how many · 0xff 1: the last that was dropped */
  #readEvent(key: Buffer, value: Buffer): boolean {
    if (key.length === 8) {
      const { value: parts, number } = decode(value)
      const events = parts as (number & EventValue)[]
      for (let i = 0; i < events.length; i += 2)
        this.events.push({ position: events[i] as number, value: events[i + 1] as EventValue })
      return number === key.readUIntBE(0, 6) && events.length === 2 * key.readUInt16BE(6)
    }
    if (key[1] === 0) this.eventCount = decodeNumbers(value)[0] as number
    else if (key[1] === 1) this.droppedEvent = value.readUIntBE(0, 6)
    else return false
    return true
  }
}

const KNOWN_META: ReadonlySet<string> = new Set([...['store', 'syncer', 'boot', 'medium', 'pause', 'health', 'synced']])

interface TenureRow {
  readonly generation: number
}

/** group NUL key */
function keyOfBlob(suffix: string): { group: string; key: string } {
  const end = suffix.indexOf('\0')
  return { group: suffix.slice(0, end), key: suffix.slice(end + 1) }
}

/** backend NUL key, or, for a later generation, backend 0x02 generation NUL key */
function placeOfBlob(suffix: string): { place: PlaceName; generation: number } {
  const [backend = '', generation = '0'] = backendOf(suffix).split('\u0002')
  return { place: placeName(backend, keyOf(suffix)), generation: Number(generation) }
}

export function placeName(backend: string, key: string): PlaceName {
  return `${backend}\0${key}`
}

export function backendOf(place: PlaceName): string {
  return place.slice(0, place.indexOf('\0'))
}

export function keyOf(place: PlaceName): string {
  return place.slice(place.indexOf('\0') + 1)
}

/** bytes, then offset (4) length (4) length of the owner (1) owner of each piece, then where that begins (4), CRC-32 of that (4) */
function packOf(value: Buffer): Pack {
  const end = value.length - 8
  const start = value.readUInt32BE(end)
  if (crc32(value.subarray(start, end)) !== value.readUInt32BE(end + 4))
    throw new Error('a pack whose checksum does not match')
  const pieces: Pack['pieces'][number][] = []
  for (let at = start; at < end; at += 41)
    pieces.push({
      offset: value.readUInt32BE(at),
      length: value.readUInt32BE(at + 4),
      id: `sha256:${value.toString('hex', at + 9, at + 41)}`,
    })
  return { bytes: value.subarray(0, start), pieces }
}
