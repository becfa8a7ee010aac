import { crc32 } from 'node:zlib'
import { StorageError } from '@stored/core/backend'

/*
 * A row: version (1 byte) · CRC-32 of what follows (4) · seq of the commit that wrote it (6) · JSON (UTF-8).
 * LMDB's pages carry no checksum: without the CRC a flipped bit would be read as a fact.
 */
const VERSION = 1
const CRC = 1
const SEQ = 5
const HEADER = 11

/** A row as it was read, and the commit that wrote it. */
export interface Row<T> {
  readonly value: T
  readonly seq: number
}

/** A row as it lies on disk: version, commit, checksum, JSON. */
export function encodeRow(value: unknown, seq: number): Buffer {
  const json = JSON.stringify(value)
  const row = Buffer.allocUnsafe(HEADER + Buffer.byteLength(json))
  row[0] = VERSION
  row.writeUIntBE(seq, SEQ, 6)
  row.write(json, HEADER)
  row.writeUInt32BE(crc32(row.subarray(SEQ)), CRC)
  return row
}

/** @throws {StorageError} INCOMPATIBLE for a newer version, CORRUPT for damage. */
export function decodeRow<T>(row: Buffer): Row<T> {
  const seq = rowSeq(row)
  const json = row.subarray(HEADER)
  if (crc32(row.subarray(SEQ)) !== row.readUInt32BE(CRC)) throw corrupt('its checksum does not match')
  return { value: JSON.parse(json.toString()) as T, seq }
}

/** The commit that wrote the row, without reading the rest. */
export function rowSeq(row: Buffer): number {
  if (row.length < HEADER) throw corrupt(`it has ${row.length} bytes`)
  if (row[0] !== VERSION)
    throw new StorageError(
      'INCOMPATIBLE',
      { op: 'read' },
      { detail: `a row of format ${row[0]}; this version reads ${VERSION}` },
    )
  return row.readUIntBE(SEQ, 6)
}

function corrupt(why: string): StorageError {
  return new StorageError('CORRUPT', { op: 'read' }, { detail: `a row of the index is damaged: ${why}` })
}
