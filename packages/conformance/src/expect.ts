import { StorageError, type StorageErrorCode } from '@stored/core/backend'
import { provenance } from './payload.ts'

/** How many characters of a value a message shows. */
const SHOWN = 1_000

/**
 * A promise of the contract that was not kept. The runner adds the case, why it matters, and what to declare instead.
 */
export class BrokenPromise extends Error {
  static {
    BrokenPromise.prototype.name = 'BrokenPromise'
  }
}

export function check(condition: boolean, expectation: string): asserts condition {
  if (!condition) throw new BrokenPromise(expectation)
}

/**
 * Compares numbers, strings, lists, maps, sets and plain objects of them in full; only the message is cut, around the
 * first difference. A property that is `undefined` counts as absent.
 */
export function equal(actual: unknown, expected: unknown, what: string): void {
  if (isEqual(actual, expected)) return
  const [is, shouldBe] = [print(actual), print(expected)]
  const at = firstDifference(is, shouldBe)
  throw new BrokenPromise(
    `${what} is ${around(at, shouldBe)}${sizeOf(expected)}, but was ${around(at, is)}${sizeOf(actual)}`,
  )
}

export function isEqual(a: unknown, b: unknown): boolean {
  return print(a) === print(b)
}

/** Compares bytes; a difference is reported by its place and by the writer of the bytes there. */
export function sameBytes(seed: number, actual: Uint8Array, expected: Uint8Array, what: string): void {
  if (Buffer.compare(actual, expected) === 0) return
  const at = firstDifference(actual, expected)
  throw new BrokenPromise(
    `${what} has the ${expected.length} bytes expected; it has ${actual.length}, and differs first at byte ${at}: ` +
      `${provenance(seed, actual, at)} instead of ${provenance(seed, expected, at)}`,
  )
}

function firstDifference<T extends Uint8Array | string>(a: T, b: T): number {
  const end = Math.min(a.length, b.length)
  for (let i = 0; i < end; i++) if (a[i] !== b[i]) return i
  return end
}

/** Expects a StorageError with one of `codes`, and returns it. */
export async function rejects(
  promise: Promise<unknown>,
  codes: StorageErrorCode | readonly StorageErrorCode[],
  what: string,
): Promise<StorageError> {
  const wanted = typeof codes === 'string' ? [codes] : codes
  const outcome = await settle(promise)
  if (outcome.status === 'fulfilled')
    throw new BrokenPromise(`${what} rejects with ${wanted.join(' or ')}, but it resolved`)
  return checkCode(outcome.reason, wanted, what)
}

/** The same for an error already caught. */
export function checkCode(error: unknown, codes: readonly StorageErrorCode[], what: string): StorageError {
  if (!StorageError.is(error))
    throw new BrokenPromise(`${what} rejects with a StorageError, but it rejected with ${printError(error)}`, {
      cause: error,
    })
  if (!codes.includes(error.code))
    throw new BrokenPromise(`${what} rejects with ${codes.join(' or ')}, but it rejected with ${printError(error)}`, {
      cause: error,
    })
  return error
}

/** `promise`, to be awaited later. If the case fails earlier, the result of this one does not count. */
export function started<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  return promise
}

/** The outcome of a promise, which then counts as handled. */
export async function settle<T>(promise: Promise<T>): Promise<PromiseSettledResult<T>> {
  const [outcome] = await Promise.allSettled([promise])
  return outcome
}

/** `promise`, if it settles within `ms`. */
export async function within<T>(promise: Promise<T>, ms: number, what: string | (() => string)): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const tooLate = () => {
    const named = typeof what === 'string' ? what : what()
    return new BrokenPromise(`${named} settles within ${ms} ms, but it did not`)
  }
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(tooLate()), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Calls `probe` repeatedly until it returns true. */
export async function eventually(probe: () => boolean | Promise<boolean>, ms: number, what: string): Promise<void> {
  const deadline = performance.now() + ms
  while (!(await probe())) {
    if (performance.now() > deadline) throw new BrokenPromise(`${what}, within ${ms} ms`)
    await nextTurn()
  }
}

/** Lets the event loop turn once. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

export function printError(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : around(0, print(error))
}

/** What was expected and what happened instead, for any error that ended a case. */
export function expectationOf(error: unknown): string {
  if (error instanceof BrokenPromise) return error.message
  const because = error instanceof Error && error.cause !== undefined ? `, because of ${printError(error.cause)}` : ''
  return `that nothing fails, but there was ${printError(error)}${because}`
}

/** Two values that differ print differently. */
function print(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(print).join(',')}]`
  if (value instanceof Map) return `Map${print([...value])}`
  if (value instanceof Set) return `Set${print([...value])}`
  if (value instanceof Uint8Array) return `bytes${print([...value])}`
  if (value instanceof Error) return printError(value)
  if (typeof value === 'object' && value !== null) return `{${propertiesOf(value).join(',')}}`
  return typeof value === 'string' ? JSON.stringify(value) : String(value)
}

function propertiesOf(record: object): string[] {
  const entries = Object.entries(record).filter(([, value]) => value !== undefined)
  return entries.map(([name, value]) => `${JSON.stringify(name)}:${print(value)}`).sort()
}

/** A short print in full, or the part around `at`; characters that look like others are escaped. */
function around(at: number, text: string): string {
  const from = text.length > SHOWN ? Math.max(0, at - SHOWN / 2) : 0
  const to = Math.min(text.length, from + SHOWN)
  return `${from > 0 ? '…' : ''}${escaped(text.slice(from, to))}${to < text.length ? '…' : ''}`
}

function escaped(text: string): string {
  return text.replaceAll(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** The size of a list that is not shown in full. */
function sizeOf(value: unknown): string {
  return Array.isArray(value) && print(value).length > SHOWN ? ` (${value.length} entries)` : ''
}
