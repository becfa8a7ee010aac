// Entry `@stored/ledger/format-2`: how rows of the former format read, and what becomes of them.
import { crc32 } from 'node:zlib'
import type { Transaction } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import { restoreDropped, restoreEvent } from './event-log.ts'
import { type Reader, type Tree, writerOf } from './ledger.ts'
import type { Row } from './row.ts'

/*
 * A row of format 2: 1 (1 byte) · CRC-32 of what follows (4) · ticket of the transaction that wrote it (6) · JSON (UTF-8). Frozen: what
 * writes rows may change, this does not.
 */
const VERSION = 1
const CRC = 1
const TICKET = 5
const HEADER = 11

/** A row of format 2 as it lies in its tree. */
export interface FormerRow {
  readonly tree: Tree
  readonly key: Buffer
  readonly value: Buffer
}

/** Writes what became of a row. */
export interface Rewrite {
  (tx: Transaction): void
  /** That it writes besides the row itself. @default 0 */
  readonly bytes?: number
}

/**
 * What becomes of the rows that a package owns, as a pure function of rows of format 2.
 *
 * @param former All rows of format 2.
 * @returns `null`: the row is not one of this package. What other rows tell is not written, as they bring it along.
 */
export type Rewriter = (row: FormerRow, former: Reader) => Rewrite | null

/** Other rows bring along what it says. */
export const told: Rewrite = () => {}

/** @throws {StorageError} CORRUPT */
export function decodeFormer<T>({ tree, key, value }: FormerRow): Row<T> {
  const isSound =
    value.length >= HEADER && value[0] === VERSION && crc32(value.subarray(TICKET)) === value.readUInt32BE(CRC)
  if (isSound)
    return { value: JSON.parse(value.toString('utf8', HEADER)) as T, ticket: BigInt(value.readUIntBE(TICKET, 6)) }
  throw unreadable(tree, key)
}

/** For a row that is damaged, or that nobody knows. */
export function unreadable(tree: Tree, key: Buffer): StorageError {
  const detail = `the row ${JSON.stringify(key.toString('latin1'))} of the tree ${tree} cannot be read, so nothing was changed`
  return new StorageError('CORRUPT', { op: 'upgrade' }, { detail })
}

/** The parts of a key of a table: `partition NUL tag suffix`. Ids are 32 bytes, and may hold a NUL. */
export function partsOf({ tree, key }: FormerRow): { partition: Buffer; tag: string; suffix: Buffer } {
  const end = tree === 'blobs' ? 32 : key.indexOf(0)
  return {
    partition: key.subarray(0, end),
    tag: String.fromCharCode(key[end + 1] ?? 0),
    suffix: key.subarray(end + 2),
  }
}

/** Trees that the other ones tell. */
const TOLD: ReadonlySet<Tree> = new Set(['due', 'owed', 'counts'])
const NUMBERS = ['format', 'seq']

/** The log, with its numbers; and what a ledger keeps for itself. */
export const rewriteLog: Rewriter = (row) => {
  const { tree, key, value } = row
  if (TOLD.has(tree) || (tree === 'meta' && NUMBERS.includes(key.toString()))) return told
  if (tree !== 'events') return null
  if (key[0] === 0xff) return key[1] === 0 ? told : (tx) => restoreDropped(writerOf(tx), value.readUIntBE(0, 6))
  const event = decodeFormer(row).value
  return (tx) => restoreEvent(writerOf(tx), key.readUIntBE(0, 6), JSON.stringify(event))
}
