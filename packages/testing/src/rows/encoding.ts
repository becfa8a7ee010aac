import { crc32 } from 'node:zlib'

/*
 * Rows as they lie on disk, read by code of its own: a check that decoded them with the code under test would believe its mistakes.
 *
 * A row: version (1 byte) · CRC-32 of what follows (4) · number of the commit or transaction that wrote it (6) · JSON (UTF-8).
 */
const VERSION = 1
const CRC = 1
const NUMBER = 5
const HEADER = 11

export interface Decoded {
  readonly value: unknown
  readonly number: number
}

/** @throws {Error} The row is damaged, or of another format. */
export function decode(row: Buffer): Decoded {
  if (row.length < HEADER) throw new Error(`a row of ${row.length} bytes`)
  if (row[0] !== VERSION) throw new Error(`a row of format ${row[0]}`)
  if (crc32(row.subarray(NUMBER)) !== row.readUInt32BE(CRC)) throw new Error('a row whose checksum does not match')
  return { value: JSON.parse(row.toString('utf8', HEADER)), number: row.readUIntBE(NUMBER, 6) }
}

/** A row of counters: doubles, one after the other. */
export function decodeNumbers(row: Buffer): number[] {
  return Array.from({ length: row.length / 8 }, (_, i) => row.readDoubleBE(i * 8))
}

/** A row as the store writes it. */
export function encode(value: unknown, number: number): Buffer {
  const json = Buffer.from(JSON.stringify(value))
  const row = Buffer.alloc(HEADER + json.length)
  row[0] = VERSION
  row.writeUIntBE(number, NUMBER, 6)
  json.copy(row, HEADER)
  row.writeUInt32BE(crc32(row.subarray(NUMBER)), CRC)
  return row
}
