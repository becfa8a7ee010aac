import { type ErrorLocation, StorageError } from '../backend/error.ts'
import { checkOptions, describeType } from '../backend/options.ts'
import type { GuardedGetOptions, GuardedListOptions, GuardedPutOptions } from './guarded-backend.ts'

const CALL = ['signal']
const PUT = [
  ...CALL,
  ...['size', 'sha256', 'file', 'onSent', 'checkpoint', 'onCheckpoint'],
  ...['ifAbsent', 'ifMatch', 'contentType', 'metadata'],
]
const GET = [...CALL, 'offset', 'length', 'last', 'ifMatch', 'sha256']
const LIST = [...CALL, 'prefix', 'startAfter', 'limit', 'delimiter', 'sorted']
const SHA256 = /^[0-9a-f]{64}$/

/** Refuses what `holds` is false for; `undefined` is as good as absent. */
function check(
  options: object,
  name: string,
  holds: (value: unknown) => boolean,
  expected: string,
  at: ErrorLocation,
): void {
  const value = (options as Record<string, unknown>)[name]
  if (value === undefined || holds(value)) return
  const got = typeof value === 'number' ? value : describeType(value)
  throw new StorageError('INVALID_ARGUMENT', at, { detail: `${name} is ${expected}, not ${got}` })
}

const isText = (value: unknown): boolean => typeof value === 'string'
const isWellFormed = (value: unknown): boolean => typeof value === 'string' && value.isWellFormed()
const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0
const isDigest = (value: unknown): boolean => typeof value === 'string' && SHA256.test(value)
const isFlag = (value: unknown): boolean => typeof value === 'boolean'
const isFunction = (value: unknown): boolean => typeof value === 'function'
const isSignal = (value: unknown): boolean => value instanceof AbortSignal

export function checkCall(options: object, at: ErrorLocation, more: readonly string[] = []): void {
  checkOptions(options, more.length === 0 ? CALL : [...CALL, ...more], at)
  check(options, 'signal', isSignal, 'an AbortSignal', at)
  if (more.length > 0) checkExtras(options, at)
}

/** The options that only one of the small methods takes. */
function checkExtras(options: object, at: ErrorLocation): void {
  check(options, 'ifMatch', isText, 'an etag', at)
  check(options, 'prefix', isWellFormed, 'a well-formed string', at)
  check(options, 'method', (value) => value === 'GET' || value === 'PUT', 'GET or PUT', at)
  check(options, 'expiresMs', (value) => isCount(value) && value !== 0, 'a whole number of milliseconds from 1', at)
  check(options, 'olderThanMs', isCount, 'a whole number of milliseconds', at)
}

/** Refuses an option that has no default and was not given. */
export function required(options: object, names: readonly string[], at: ErrorLocation): void {
  for (const name of names)
    if ((options as Record<string, unknown>)[name] === undefined)
      throw new StorageError('INVALID_ARGUMENT', at, { detail: `${name} is missing` })
}

/** Whether a put goes on from a former one, or a later one is to go on from it. */
export function mayGoOn({ checkpoint, onCheckpoint }: GuardedPutOptions): boolean {
  return checkpoint !== undefined || onCheckpoint !== undefined
}

export function checkPut(options: GuardedPutOptions, at: ErrorLocation): void {
  checkOptions(options, PUT, at)
  check(options, 'signal', isSignal, 'an AbortSignal', at)
  check(options, 'size', isCount, 'a whole number of bytes', at)
  check(options, 'sha256', isDigest, '64 lower-case hex digits', at)
  check(options, 'file', isText, 'a path', at)
  check(options, 'onSent', isFunction, 'a function', at)
  check(options, 'checkpoint', isText, 'text', at)
  check(options, 'onCheckpoint', isFunction, 'a function', at)
  check(options, 'ifAbsent', isFlag, 'true or false', at)
  check(options, 'ifMatch', isText, 'an etag', at)
  check(options, 'contentType', isText, 'a MIME type', at)
  if (options.ifAbsent && options.ifMatch !== undefined)
    throw new StorageError('INVALID_ARGUMENT', at, { detail: 'ifAbsent and ifMatch exclude each other' })
  if (options.file !== undefined && options.sha256 === undefined)
    throw new StorageError('INVALID_ARGUMENT', at, { detail: 'file needs sha256: nobody else reads it' })
  if (mayGoOn(options) && (options.size === undefined || options.sha256 === undefined))
    throw new StorageError('INVALID_ARGUMENT', at, {
      detail: 'a checkpoint needs size and sha256: they name the bytes',
    })
}

export function checkGet(options: GuardedGetOptions, at: ErrorLocation): void {
  checkOptions(options, GET, at)
  check(options, 'signal', isSignal, 'an AbortSignal', at)
  for (const name of ['offset', 'length', 'last']) check(options, name, isCount, 'a whole number of bytes', at)
  check(options, 'ifMatch', isText, 'an etag', at)
  check(options, 'sha256', isDigest, '64 lower-case hex digits', at)
  if (options.last !== undefined && (options.offset !== undefined || options.length !== undefined))
    throw new StorageError('INVALID_ARGUMENT', at, { detail: 'last excludes offset and length' })
}

export function checkList(options: GuardedListOptions, at: ErrorLocation): void {
  checkOptions(options, LIST, at)
  check(options, 'signal', isSignal, 'an AbortSignal', at)
  check(options, 'prefix', isWellFormed, 'a well-formed string', at)
  check(options, 'startAfter', isWellFormed, 'a well-formed string', at)
  check(options, 'limit', isCount, 'a whole number', at)
  check(options, 'delimiter', (value) => value === '/', '"/"', at)
  check(options, 'sorted', isFlag, 'true or false', at)
}

/** Metadata with lower-case names, as HTTP fields have them. @see RFC 9110 section 5.1. */
export function normalizeMetadata(metadata: unknown, at: ErrorLocation): Record<string, string> {
  const refuse = (detail: string) => new StorageError('INVALID_ARGUMENT', at, { detail })
  if (typeof metadata !== 'object' || metadata === null)
    throw refuse(`metadata is an object, not ${describeType(metadata)}`)
  const normalized = new Map<string, string>()
  for (const [name, value] of Object.entries(metadata)) {
    const lower = name.toLowerCase()
    if (typeof value !== 'string')
      throw refuse(`metadata ${JSON.stringify(name)} is a string, not ${describeType(value)}`)
    if (normalized.has(lower)) throw refuse(`metadata has ${JSON.stringify(lower)} twice`)
    normalized.set(lower, value)
  }
  return Object.fromEntries(normalized)
}
