import { type ErrorLocation, StorageError } from '../backend/error.ts'
import { checkOptions, describeType } from '../backend/options.ts'
import { is, needed, type Rule, type RulesOf } from '../backend/rules.ts'
import type {
  CallOptions,
  GuardedGetOptions,
  GuardedListOptions,
  GuardedPutOptions,
  GuardedReadOptions,
} from './guarded-backend.ts'

const SHA256 = /^[0-9a-f]{64}$/

const BYTES = is.whole(0, undefined, 'of bytes')
const ETAG: Rule = { ...is.anyText, expected: 'an etag' }
const WELL_FORMED: Rule = {
  expected: 'a well-formed string',
  holds: (value) => typeof value === 'string' && value.isWellFormed(),
}
const DIGEST: Rule = {
  expected: '64 lower-case hex digits',
  holds: (value) => typeof value === 'string' && SHA256.test(value),
}

/** The options of each method that takes more than a signal. */
export const CALL: RulesOf<CallOptions> = { signal: is.signal }
export const DELETE = { ...CALL, ifMatch: ETAG }
export const WATCH = { ...CALL, prefix: WELL_FORMED }
export const SWEEP = { ...CALL, olderThanMs: needed(is.whole(0, undefined, 'of milliseconds')) }
export const SIGNED_URL = {
  ...CALL,
  method: needed(is.oneOf(['GET', 'PUT'])),
  expiresMs: needed(is.whole(1, undefined, 'of milliseconds')),
}

const PUT: RulesOf<GuardedPutOptions> = {
  ...CALL,
  size: BYTES,
  sha256: DIGEST,
  file: { ...is.text, expected: 'a path' },
  onSent: is.callback,
  checkpoint: is.anyText,
  onCheckpoint: is.callback,
  ifAbsent: is.boolean,
  ifMatch: ETAG,
  // A copy passes on the content type of a foreign object, which may be anything a header can hold.
  contentType: { expected: 'a MIME type', holds: (value) => typeof value === 'string' && /^[ -~]*$/.test(value) },
  metadata: is.object,
}

const GET: RulesOf<GuardedGetOptions> = {
  ...CALL,
  offset: BYTES,
  length: BYTES,
  last: BYTES,
  ifMatch: ETAG,
  sha256: DIGEST,
}

export const READ: RulesOf<GuardedReadOptions> = { ...CALL, size: needed(BYTES), sha256: needed(DIGEST) }

export const LIST: RulesOf<GuardedListOptions> = {
  ...CALL,
  prefix: is.keyPart,
  startAfter: is.keyPart,
  limit: is.whole(0),
  delimiter: is.oneOf(['/']),
  sorted: is.boolean,
}

/** Whether a put resumes an earlier one, or can be resumed later. */
export function mayGoOn({ checkpoint, onCheckpoint }: GuardedPutOptions): boolean {
  return checkpoint !== undefined || onCheckpoint !== undefined
}

/** @returns The checked options. */
export function checkPut(given: GuardedPutOptions, at: ErrorLocation): GuardedPutOptions {
  const options = checkOptions(given, PUT, at)
  if (options.ifAbsent && options.ifMatch !== undefined)
    throw new StorageError('INVALID_ARGUMENT', at, { detail: 'ifAbsent and ifMatch exclude each other' })
  if (mayGoOn(options) && (options.size === undefined || options.sha256 === undefined))
    throw new StorageError('INVALID_ARGUMENT', at, {
      detail: 'a checkpoint needs size and sha256: they name the bytes',
    })
  return options
}

/** @returns The checked options. */
export function checkGet(given: GuardedGetOptions, at: ErrorLocation): GuardedGetOptions {
  const options = checkOptions(given, GET, at)
  if (options.last !== undefined && (options.offset !== undefined || options.length !== undefined))
    throw new StorageError('INVALID_ARGUMENT', at, { detail: 'last excludes offset and length' })
  return options
}

/** Metadata with lower-case names, like HTTP fields. @see RFC 9110 section 5.1. */
export function normalizeMetadata(metadata: unknown, at: ErrorLocation): Record<string, string> {
  const refuse = (detail: string) => new StorageError('INVALID_ARGUMENT', at, { detail })
  if (typeof metadata !== 'object' || metadata === null)
    throw refuse(`metadata must be an object, not ${describeType(metadata)}`)
  const normalized = new Map<string, string>()
  for (const [name, value] of Object.entries(metadata)) {
    const lower = name.toLowerCase()
    if (typeof value !== 'string')
      throw refuse(`metadata ${JSON.stringify(name)} must be a string, not ${describeType(value)}`)
    if (normalized.has(lower)) throw refuse(`metadata has ${JSON.stringify(lower)} twice`)
    normalized.set(lower, value)
  }
  return Object.fromEntries(normalized)
}
