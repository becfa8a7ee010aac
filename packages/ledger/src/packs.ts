import { crc32 } from 'node:zlib'
import { StorageError } from '@stored/core/backend'
import type { Piece, Reader, Writer } from './ledger.ts'
import { decodeNumbers, encodeNumbers } from './numbers.ts'
import type { Sink } from './sink.ts'

/*
 * Tree `packs`: bytes that plans appended, those of one group side by side.
 *
 * number (6 bytes)        bytes of all pieces · where each begins, how long it is, whose it is · where that begins (4) · its CRC-32 (4)
 * 0xfe number             nothing: little of the pack is live
 * 0xff number             numbers: bytes · live bytes · live pieces
 * 0xff 0xff               numbers: bytes of all packs
 */
const PACKS = 'packs'
/** A reader copies the pack that its piece lies in: small enough that this costs less than finding it. */
const MOST_BYTES = 64 * 1024
/** A pack is rewritten in one plan, which takes a row a piece. */
const MOST_PIECES = 500
/** A pack of which less than this fraction is live is to be rewritten. */
const SPARSE = 1 / 4
const SPARSE_TAG = 0xfe
const LIVE_TAG = 0xff
const TOTAL_KEY = Buffer.of(LIVE_TAG, 0xff)
const PIECE_HEAD = 9
const FOOT = 8

/** A piece as it is appended. */
export interface Appended {
  readonly piece: Piece
  /** Of the row that says where the piece lies. */
  readonly owner: Uint8Array
  readonly bytes: Uint8Array
}

/** Gives out places, behind those of the plans before. Each run of a plan has its own, so that a run that fails leaves no hole. */
export class Places {
  /** The number of the next pack. */
  next: number
  #pack: number
  #bytes: number
  #pieces: number

  constructor(next: number, last?: { readonly number: number; readonly bytes: number; readonly pieces: number }) {
    this.next = next
    this.#pack = last?.number ?? -1
    this.#bytes = last?.bytes ?? 0
    this.#pieces = last?.pieces ?? 0
  }

  take(length: number): Piece {
    if (this.#pack < 0 || this.#pieces === MOST_PIECES || this.#bytes + length > MOST_BYTES) {
      this.#pack = this.next++
      this.#bytes = 0
      this.#pieces = 0
    }
    const piece = { pack: this.#pack, offset: this.#bytes, length }
    this.#bytes += length
    this.#pieces++
    return piece
  }
}

export function findPiece(appended: readonly Appended[], { pack, offset, length }: Piece): Uint8Array | undefined {
  return appended.find(({ piece }) => piece.offset === offset && piece.length === length && piece.pack === pack)?.bytes
}

interface OpenPack {
  readonly number: number
  readonly appended: Appended[]
  bytes: number
}

/** The packs of a group: what its plans append and discard, until it ends. */
export class GroupPacks {
  readonly #open = new Map<number, OpenPack>()
  readonly #discarded = new Map<number, { bytes: number; pieces: number }>()
  #last: OpenPack | undefined

  /** @param next The number of the next pack. */
  places(next: number): Places {
    const last = this.#last
    return new Places(next, last && { number: last.number, bytes: last.bytes, pieces: last.appended.length })
  }

  /** Rows and bytes that a plan adds to those of its group, at most. */
  sizeOf(appended: readonly Appended[], discarded: readonly Piece[]): { rows: number; bytes: number } {
    const packs = new Set(appended.map(({ piece }) => piece.pack).filter((pack) => !this.#open.has(pack)))
    const touched = new Set(discarded.map(({ pack }) => pack).filter((pack) => !this.#discarded.has(pack)))
    let bytes = 0
    for (const one of appended) bytes += one.bytes.length + PIECE_HEAD + one.owner.length
    return { rows: 2 * packs.size + 3 * touched.size, bytes }
  }

  apply(appended: readonly Appended[], discarded: readonly Piece[]): void {
    for (const one of appended) {
      const { pack: number } = one.piece
      const pack = this.#open.get(number) ?? { number, appended: [], bytes: 0 }
      this.#open.set(number, pack)
      this.#last = pack
      pack.appended.push(one)
      pack.bytes += one.bytes.length
    }
    for (const { pack, length } of discarded) {
      const sum = this.#discarded.get(pack) ?? { bytes: 0, pieces: 0 }
      this.#discarded.set(pack, { bytes: sum.bytes + length, pieces: sum.pieces + 1 })
    }
  }

  /** What a plan of the group appended. */
  find(piece: Piece): Uint8Array | undefined {
    return findPiece(this.#open.get(piece.pack)?.appended ?? [], piece)
  }

  /** Whether a plan of the group began the pack. */
  has(pack: number): boolean {
    return this.#open.has(pack)
  }

  /** Writes the packs that have anything live, and removes those that have not. */
  end(sink: Sink): void {
    const numbers = new Set([...this.#open.keys(), ...this.#discarded.keys()])
    if (numbers.size === 0) return
    let change = 0
    for (const number of numbers) change += this.#settle(sink, number)
    const [total = 0] = sink.get(PACKS, TOTAL_KEY, decodeNumbers) ?? []
    if (change !== 0) sink.put(PACKS, TOTAL_KEY, encodeNumbers([total + change]))
  }

  /** @returns By how much all packs have grown. */
  #settle(sink: Sink, number: number): number {
    const open = this.#open.get(number)
    const liveKey = taggedKey(LIVE_TAG, number)
    const former = open ? undefined : sink.get(PACKS, liveKey, decodeNumbers)
    if (!open && !former) return 0
    const [size = 0, bytes = 0, pieces = 0] = former ?? [open?.bytes, open?.bytes, open?.appended.length]
    const gone = this.#discarded.get(number) ?? { bytes: 0, pieces: 0 }
    const live = [size, bytes - gone.bytes, pieces - gone.pieces] as const
    const wasSparse = former !== undefined && isSparse(size, bytes)
    if (live[2] <= 0) {
      if (former) removePack(sink, number, wasSparse)
      return former ? -size : 0
    }
    if (open) sink.put(PACKS, packKey(number), encodePack(open))
    sink.put(PACKS, liveKey, encodeNumbers(live))
    if (!wasSparse && isSparse(size, live[1])) sink.put(PACKS, taggedKey(SPARSE_TAG, number), Buffer.alloc(0))
    return former ? 0 : size
  }
}

function isSparse(size: number, live: number): boolean {
  return live < size * SPARSE
}

function removePack(sink: Sink, number: number, wasSparse: boolean): void {
  sink.remove(PACKS, packKey(number))
  sink.remove(PACKS, taggedKey(LIVE_TAG, number))
  if (wasSparse) sink.remove(PACKS, taggedKey(SPARSE_TAG, number))
}

/** What an implementation answers `Reader.piece` with. */
export function pieceIn<T>(reader: Pick<Reader, 'get'>, piece: Piece, decode: (bytes: Buffer) => T): T | undefined {
  const end = piece.offset + piece.length
  let decoded: T | undefined
  reader.get(PACKS, packKey(piece.pack), (value) => {
    if (end <= value.length - FOOT) decoded = decode(value.subarray(piece.offset, end))
  })
  return decoded
}

/** In bytes, of all packs: a pack counts whole until its last piece is discarded. */
export function packedBytes(reader: Reader): number {
  return reader.get(PACKS, TOTAL_KEY, decodeNumbers)?.[0] ?? 0
}

/** Packs of which less than a quarter is live, in order. Whoever appended to them moves what is live, so that they go. */
export function sparsePacks(reader: Reader, { after = -1, limit }: { after?: number; limit: number }): number[] {
  const range = { from: taggedKey(SPARSE_TAG, after + 1), to: Buffer.of(LIVE_TAG), limit }
  return reader.range(PACKS, range).map(([key]) => key.readUIntBE(1, 6))
}

/**
 * All that was appended to a pack, also what was discarded since.
 *
 * @throws {StorageError} CORRUPT
 */
export function piecesOf(writer: Writer, pack: number): { readonly owner: Buffer; readonly piece: Piece }[] {
  return writer.get(PACKS, packKey(pack), (value) => decodePieces(value, pack)) ?? []
}

function encodePack({ appended, bytes }: OpenPack): Buffer {
  const names = appended.reduce((sum, { owner }) => sum + PIECE_HEAD + owner.length, 0)
  const value = Buffer.allocUnsafe(bytes + names + FOOT)
  let at = bytes
  for (const { piece, owner, bytes: own } of appended) {
    value.set(own, piece.offset)
    value.writeUInt32BE(piece.offset, at)
    value.writeUInt32BE(piece.length, at + 4)
    value[at + 8] = owner.length
    value.set(owner, at + PIECE_HEAD)
    at += PIECE_HEAD + owner.length
  }
  value.writeUInt32BE(bytes, at)
  value.writeUInt32BE(crc32(value.subarray(bytes, at)), at + 4)
  return value
}

function decodePieces(value: Buffer, pack: number): { owner: Buffer; piece: Piece }[] {
  const end = value.length - FOOT
  const start = end < 0 ? -1 : value.readUInt32BE(end)
  if (start < 0 || start > end || crc32(value.subarray(start, end)) !== value.readUInt32BE(end + 4)) {
    const detail = `pack ${pack} of the index is damaged: it does not say what it holds`
    throw new StorageError('CORRUPT', { op: 'read' }, { detail })
  }
  const pieces: { owner: Buffer; piece: Piece }[] = []
  for (let at = start; at < end; ) {
    const named = at + PIECE_HEAD + (value[at + 8] as number)
    const piece = { pack, offset: value.readUInt32BE(at), length: value.readUInt32BE(at + 4) }
    pieces.push({ piece, owner: Buffer.from(value.subarray(at + PIECE_HEAD, named)) })
    at = named
  }
  return pieces
}

function packKey(number: number): Buffer {
  const key = Buffer.allocUnsafe(6)
  key.writeUIntBE(number, 0, 6)
  return key
}

function taggedKey(tag: number, number: number): Buffer {
  const key = Buffer.allocUnsafe(7)
  key[0] = tag
  key.writeUIntBE(number, 1, 6)
  return key
}
