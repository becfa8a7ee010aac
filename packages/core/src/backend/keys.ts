import { type ErrorLocation, StorageError } from './error.ts'

/** The longest key in UTF-8 bytes, the same as in S3. */
export const MAX_KEY_BYTES = 1024
/** Where a driver keeps its own files. No key starts with this. */
export const RESERVED_PREFIX = '.stored/'

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
const CONTROL = /[\u0000-\u001f\u007f]/
const BAD_SEGMENT = /(?:^|\/)(?:\.{0,2})(?:\/|$)/
const ID = /^sha256:[0-9a-f]{64}$/

/** Why `key` is not a valid backend key, or `null` if it is valid. */
export function keyFault(key: unknown): string | null {
  if (typeof key !== 'string') return `a key must be a string, not ${key === null ? 'null' : typeof key}`
  if (key === '') return 'a key must not be empty'
  if (!key.isWellFormed()) return 'it contains half of a surrogate pair'
  if (CONTROL.test(key)) return 'it contains a control character'
  if (BAD_SEGMENT.test(key)) return 'a segment between slashes must not be empty, "." or ".."'
  if (key.startsWith(RESERVED_PREFIX)) return `"${RESERVED_PREFIX}" is reserved`
  // A UTF-16 unit takes at most 3 bytes in UTF-8, so most keys need no byte count.
  if (key.length * 3 > MAX_KEY_BYTES && Buffer.byteLength(key) > MAX_KEY_BYTES)
    return `it has ${Buffer.byteLength(key)} bytes, more than ${MAX_KEY_BYTES}`
  return null
}

/** @throws {StorageError} INVALID_KEY with the reason. */
export function checkKey(key: unknown, at: ErrorLocation): asserts key is string {
  const fault = keyFault(key)
  if (fault !== null)
    throw new StorageError(
      'INVALID_KEY',
      { ...at, ...(typeof key === 'string' && { key: key.slice(0, 100) }) },
      { detail: fault },
    )
}

/** Whether `text` has the form of a blob id, which no key has. */
export function isId(text: string): text is `sha256:${string}` {
  return text.length === 71 && ID.test(text)
}

/**
 *  * Orders keys by their UTF-8 bytes, as every listing does.
 *
 * JavaScript compares UTF-16 units, where U+1F600 sorts before U+FF5E; in UTF-8 it sorts after it. The two orders
 * differ only for surrogates (U+D800 to U+DFFF) and the units after them.
 */
export function compareKeys(a: string, b: string): number {
  const end = Math.min(a.length, b.length)
  for (let i = 0; i < end; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x !== y) return rank(x) - rank(y)
  }
  return a.length - b.length
}

function rank(unit: number): number {
  if (unit < 0xd800) return unit
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800
}
