import { type ErrorLocation, StorageError } from '../../backend/error.ts'
import type { BlobId } from '../../model/blob.ts'

const DAY_MS = 86_400_000
/** Of an id. Few enough that days times positions are still exact. */
const HEX_DIGITS = 8
const POSITIONS = 16 ** HEX_DIGITS

/** Where a call of `verify` stands. */
export interface Cursor {
  readonly backend: string
  readonly key: string
  /** Of its sample. */
  readonly day: number
}

/** Opaque to callers: what it holds may change. */
export function encodeCursor({ backend, key, day }: Cursor): string {
  return Buffer.from(JSON.stringify([backend, key, day])).toString('base64url')
}

/** @throws {StorageError} INVALID_ARGUMENT. */
export function decodeCursor(text: unknown, at: ErrorLocation): Cursor {
  const [backend, key, day] = parse(text)
  if (typeof backend === 'string' && typeof key === 'string' && Number.isSafeInteger(day))
    return { backend, key, day: day as number }
  throw new StorageError('INVALID_ARGUMENT', at, { detail: '`after` is not a cursor from verify()' })
}

function parse(text: unknown): unknown[] {
  try {
    const value: unknown = JSON.parse(Buffer.from(String(text), 'base64url').toString())
    return Array.isArray(value) ? value : []
  } catch {
    return []
  }
}

/** The number of the present day, in UTC. */
export function today(): number {
  return Math.floor(Date.now() / DAY_MS)
}

/**
 * Ids are spread evenly, so a window over them is a sample. Day by day it moves on by its own width: after 1/`sample` days it
 * was everywhere.
 */
export function isSampled(id: BlobId, sample: number, day: number): boolean {
  if (sample >= 1) return true
  const start = 'sha256:'.length
  const position = Number.parseInt(id.slice(start, start + HEX_DIGITS), 16)
  const width = Math.ceil(sample * POSITIONS)
  return (position + day * width) % POSITIONS < width
}
