import { crc32 } from 'node:zlib'
import { StorageError } from '@stored/core/backend'

/*
 * A row: version (1 byte) · CRC-32 of what follows (4) · ticket of the transaction that wrote it (6) · JSON (UTF-8).
 * LMDB's pages carry no checksum: without the CRC a flipped bit would be read as a fact.
 */
const VERSION = 1
const CRC = 1
const TICKET = 5
const HEADER = 11

/** A row as it was read. */
export interface Row<T> {
  readonly value: T
  /** Of the transaction that wrote it: whether a row is still the same, never which of two is older. */
  readonly ticket: bigint
}

/** A row as it lies on disk: version, checksum, ticket, JSON. */
export function encodeRow(value: unknown, ticket: bigint): Buffer {
  return sealRow(JSON.stringify(value), Number(ticket))
}

/** A row of what is JSON already. */
export function sealRow(json: string, ticket: number): Buffer {
  const row = Buffer.allocUnsafe(HEADER + Buffer.byteLength(json))
  row[0] = VERSION
  row.writeUIntBE(ticket, TICKET, 6)
  row.write(json, HEADER)
  row.writeUInt32BE(crc32(row.subarray(TICKET)), CRC)
  return row
}

/** @throws {StorageError} INCOMPATIBLE for a newer version, CORRUPT for damage. */
export function decodeRow<T>(row: Buffer): Row<T> {
  const ticket = rowTicket(row)
  if (crc32(row.subarray(TICKET)) !== row.readUInt32BE(CRC)) throw corrupt('its checksum does not match')
  return { value: JSON.parse(row.toString('utf8', HEADER)) as T, ticket }
}

/** The ticket of the transaction that wrote the row, without reading the rest. */
export function rowTicket(row: Buffer): bigint {
  if (row.length < HEADER) throw corrupt(`it has ${row.length} bytes`)
  if (row[0] !== VERSION)
    throw new StorageError(
      'INCOMPATIBLE',
      { op: 'read' },
      { detail: `a row of format ${row[0]}; this version reads ${VERSION}` },
    )
  return BigInt(row.readUIntBE(TICKET, 6))
}

function corrupt(why: string): StorageError {
  return new StorageError('CORRUPT', { op: 'read' }, { detail: `a row of the index is damaged: ${why}` })
}
