import { StorageError, type StorageErrorCode } from '@stored/core/backend'
import { provenance } from './payload.ts'

/** A promise of the contract that was not kept. The runner adds the case, why it matters, and what may be declared instead. */
export class BrokenPromise extends Error {
  static {
    BrokenPromise.prototype.name = 'BrokenPromise'
  }
}

export function check(condition: boolean, expectation: string): asserts condition {
  if (!condition) throw new BrokenPromise(expectation)
}

/** Compares what prints the same: numbers, strings, lists and plain objects of them. */
export function equal(actual: unknown, expected: unknown, what: string): void {
  const [is, shouldBe] = [print(actual), print(expected)]
  if (is !== shouldBe) throw new BrokenPromise(`${what} is ${shouldBe}, but was ${is}`)
}

/** Compares bytes; a difference is told by its place and by whose bytes lie there. */
export function sameBytes(seed: number, actual: Uint8Array, expected: Uint8Array, what: string): void {
  if (Buffer.compare(actual, expected) === 0) return
  const at = firstDifference(actual, expected)
  throw new BrokenPromise(
    `${what} has the ${expected.length} bytes expected; it has ${actual.length}, and differs first at byte ${at}: ` +
      `${provenance(seed, actual, at)} instead of ${provenance(seed, expected, at)}`,
  )
}

function firstDifference(a: Uint8Array, b: Uint8Array): number {
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

/** The same of an error already caught. */
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

/**
 * `promise`, to be awaited later. A case that fails before has said what is wrong: what then becomes of this one does not
 * count.
 */
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

/** Asks `probe` again and again until it answers true. */
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
  return error instanceof Error ? `${error.name}: ${error.message}` : print(error)
}

/** What was expected and what came instead, of whatever ended a case. */
export function expectationOf(error: unknown): string {
  if (error instanceof BrokenPromise) return error.message
  const because = error instanceof Error && error.cause !== undefined ? `, because of ${printError(error.cause)}` : ''
  return `that nothing fails, but there was ${printError(error)}${because}`
}

function print(value: unknown): string {
  if (value === undefined) return 'undefined'
  const text = JSON.stringify(value, (_, item) => (isPlain(item) ? sortKeys(item) : item)) ?? String(value)
  return text.length > 1000 ? `${text.slice(0, 1000)}…` : text
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function sortKeys(record: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)))
}
