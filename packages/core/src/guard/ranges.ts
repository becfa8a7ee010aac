import type { GetResult, Stat, StorageBackend } from '../backend/contract.ts'
import { StorageError } from '../backend/error.ts'
import type { GuardedGetOptions } from './guarded-backend.ts'
import type { Operation } from './operation.ts'
import { discardBody } from './stream.ts'

/** A blob opened for reading. */
export interface OpenedRange {
  readonly stat: Stat
  readonly body: AsyncIterable<Uint8Array>
  /** How many bytes of `body` precede those asked for; `undefined` if it consists of exactly those. */
  readonly skip: number | undefined
  /** How many of the bytes asked for exist. */
  readonly length: number
}

interface Wanted {
  readonly offset: number
  /** `undefined`: to the end. */
  readonly length: number | undefined
}

export interface RangeContext {
  readonly driver: StorageBackend
  readonly operation: Operation
  /** Maximum number of bytes to read and discard if the driver has no ranges. */
  readonly discardLimit: number
}

/**
 * Opens the requested part of a blob by the rules of the contract: a length past the end is cut; an offset at or past
 * the end is RANGE_NOT_SATISFIABLE, unless the blob is empty and the offset 0; zero bytes of an existing blob are an
 * empty body.
 */
export async function openRange(context: RangeContext, key: string, options: GuardedGetOptions): Promise<OpenedRange> {
  const { offset = 0, length, last, ifMatch } = options
  if (length === 0 || last === 0) return nothingOf(await statOf(context, key, ifMatch))
  if (last === undefined) return openFrom(context, key, { offset, length }, ifMatch)
  const { size } = await statOf(context, key, ifMatch)
  const opened = await openFrom(context, key, { offset: Math.max(0, size - last), length: undefined }, ifMatch)
  if (opened.stat.size === size) return opened
  await discardBody(opened.body)
  throw new StorageError('CONFLICT', context.operation.at, { detail: 'it was overwritten while being opened' })
}

async function openFrom(
  context: RangeContext,
  key: string,
  wanted: Wanted,
  ifMatch: string | undefined,
): Promise<OpenedRange> {
  const { driver, operation } = context
  const { offset, length } = wanted
  const native = driver.capabilities.range === true
  if (!native && offset > context.discardLimit) {
    const detail = `the driver has no ranges, and ${offset} bytes to discard are more than ${context.discardLimit}`
    throw new StorageError('UNSUPPORTED', operation.at, { detail })
  }
  const range = native ? { ...(offset > 0 && { offset }), ...(length !== undefined && { length }) } : {}
  let result: GetResult
  try {
    const options = { ...range, ...(ifMatch !== undefined && { ifMatch }), signal: operation.signal }
    result = await operation.settle(driver.get(key, options), ({ body }) => void discardBody(body).catch(() => {}))
  } catch (error) {
    // Some servers reject any range of an empty blob.
    if (offset > 0 || !StorageError.is(error) || error.code !== 'RANGE_NOT_SATISFIABLE') throw error
    const stat = await statOf(context, key, ifMatch)
    if (stat.size === 0) return nothingOf(stat)
    throw error
  }
  const { stat, body } = result
  if (offset > 0 && offset >= stat.size) {
    await discardBody(body)
    throw new StorageError('RANGE_NOT_SATISFIABLE', operation.at, { detail: `offset ${offset} of ${stat.size} bytes` })
  }
  const rest = stat.size - offset
  return { stat, body, skip: native ? undefined : offset, length: length === undefined ? rest : Math.min(length, rest) }
}

async function statOf({ driver, operation }: RangeContext, key: string, ifMatch: string | undefined): Promise<Stat> {
  const stat = await operation.settle(driver.stat(key, { signal: operation.signal }))
  if (stat === null) throw new StorageError('NOT_FOUND', operation.at)
  if (ifMatch !== undefined && stat.etag !== ifMatch) throw new StorageError('PRECONDITION_FAILED', operation.at)
  return stat
}

function nothingOf(stat: Stat): OpenedRange {
  return { stat, body: nothing(), skip: undefined, length: 0 }
}

async function* nothing(): AsyncGenerator<Uint8Array, void, void> {}

/** Yields `length` bytes of `body` after the first `skip`, then stops reading. */
export async function* slice(
  body: AsyncIterable<Uint8Array>,
  skip: number,
  length: number,
): AsyncGenerator<Uint8Array, void, void> {
  let position = 0
  for await (const chunk of body) {
    const start = Math.max(0, skip - position)
    const piece = chunk.subarray(start, skip + length - position)
    position += chunk.byteLength
    if (piece.byteLength > 0) yield piece
    if (position >= skip + length) return
  }
}
