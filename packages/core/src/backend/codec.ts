import { StorageError } from './error.ts'
import { keyFault } from './keys.ts'

/** Which names a medium accepts. */
export interface CodecOptions {
  /** Characters that no stored name may contain: a string of them, or a pattern that matches one. @default none */
  readonly forbid?: string | RegExp
  /** Characters that no stored segment may end in, such as Windows' dots and spaces. @default none */
  readonly forbidTrailing?: string | RegExp
  /**
   * Segments that the medium reserves: names, matched in any case and with any extension, or a predicate. @default none
   */
  readonly reservedNames?: readonly string[] | ((segment: string) => boolean)
  /** The longest stored segment, in UTF-8 bytes. @default unlimited */
  readonly maxSegmentBytes?: number
}

/** Maps keys to names that a medium can hold, and back. */
export interface Codec {
  /** @throws {StorageError} INVALID_KEY if the key is invalid or the medium cannot hold it. */
  encode(key: string): string
  /** @returns `null` if no key is stored under this name. */
  decode(name: string): string | null
}

/**
 * One escape. Group 1 is a run of `25` that keeps the rest from being read as an escape; group 2 is a character's UTF-8
 * bytes.
 */
const ESCAPE =
  /%((?:25)*)([0-7][0-9A-F]|[CD][0-9A-F]%[89AB][0-9A-F]|E[0-9A-F](?:%[89AB][0-9A-F]){2}|F[0-7](?:%[89AB][0-9A-F]){3})/g

/**
 * Makes a codec that escapes a character as `%XX`, the upper-case hex of its UTF-8 bytes, only if the medium requires
 * it. A `%` is escaped (`%25`) only if it would be read back as such an escape. Ordinary names therefore keep their
 * bytes, an existing folder can be adopted unchanged, and no two keys share a name.
 *
 * The slash separates segments, unless it is forbidden too. Only the last of several forbidden trailing characters is
 * escaped, and only the first character of a reserved name.
 *
 * @throws {StorageError} INVALID_ARGUMENT if `%` or a hex digit is forbidden, because escapes consist of them.
 */
export function makeCodec(options: CodecOptions): Codec {
  const forbidden = pattern(options.forbid)
  const trailing = pattern(options.forbidTrailing, '$')
  const isReserved = reservation(options.reservedNames)
  const maxSegmentBytes = options.maxSegmentBytes ?? Number.POSITIVE_INFINITY
  const separator = '/'.match(forbidden) ? null : '/'

  /** Whether the escape of `character` at `start` to `end` of `name` decodes to it. */
  function isLive(character: string, name: string, start: number, end: number): boolean {
    if (character.match(forbidden)) return true
    if (end === name.length && character.match(trailing)) return true
    return start === 0 && isReserved(character + name.slice(end))
  }

  function encodeSegment(segment: string): string | null {
    const escaped = segment
      .replace(ESCAPE, (token, _, hex: string, start: number) => {
        const character = characterOf(hex)
        if (character === null) return token
        // The front of a segment is checked below: whether its name is reserved depends on the rest.
        return isLive(character, segment, Math.max(start, 1), start + token.length) ? `%25${token.slice(1)}` : token
      })
      .replace(forbidden, escapeCharacter)
      .replace(trailing, escapeCharacter)
    const name = isReserved === never ? escaped : escapeFront(escaped)
    return isReserved(name) || isLonger(name, maxSegmentBytes) ? null : name
  }

  function escapeFront(name: string): string {
    if (isReserved(name)) return name.replace(/^[^%]/u, escapeCharacter)
    const [token, , hex] = name.matchAll(ESCAPE).next().value ?? []
    if (token === undefined || !name.startsWith(token)) return name
    const character = characterOf(hex as string)
    if (character === null || isLive(character, name, 1, token.length)) return name
    return isLive(character, name, 0, token.length) ? `%25${name.slice(1)}` : name
  }

  function decodeSegment(name: string): string {
    return name.replace(ESCAPE, (token, run: string, hex: string, start: number) => {
      const character = characterOf(hex)
      if (character === null || !isLive(character, name, start, start + token.length)) return token
      return run === '' ? character : `%${token.slice(3)}`
    })
  }

  function tryEncode(key: string): string | null {
    if (separator === null) return encodeSegment(key)
    const names = key.split(separator).map(encodeSegment)
    return names.includes(null) ? null : names.join(separator)
  }

  return {
    encode(key) {
      const name = keyFault(key) === null ? tryEncode(key) : null
      if (name !== null) return name
      throw new StorageError(
        'INVALID_KEY',
        { op: 'encode', key },
        { detail: keyFault(key) ?? 'this medium cannot hold it' },
      )
    },
    decode(name) {
      const key = separator === null ? decodeSegment(name) : name.split(separator).map(decodeSegment).join(separator)
      return keyFault(key) === null && tryEncode(key) === name ? key : null
    },
  }
}

/** A pattern that finds every one of `characters`; with `end`, only at the end. */
function pattern(characters: string | RegExp | undefined, end = ''): RegExp {
  if (characters === undefined || characters === '') return /(?!)/gu
  const one =
    typeof characters === 'string' ? `[${characters.replace(/[\\\]^-]/g, '\\$&')}]` : `(?:${characters.source})`
  for (const used of '%0123456789ABCDEF')
    if (new RegExp(one, 'u').test(used))
      throw new StorageError('INVALID_ARGUMENT', { op: 'makeCodec' }, { detail: `escapes need ${used}` })
  return new RegExp(one + end, 'gu')
}

const never = (): boolean => false

function reservation(names: CodecOptions['reservedNames']): (segment: string) => boolean {
  if (names === undefined) return never
  if (typeof names === 'function') return names
  const set = new Set(names.map((name) => name.toLowerCase()))
  return (segment) => {
    const name = segment.toLowerCase()
    return set.has(name) || set.has(name.replace(/ *\..*$/s, ''))
  }
}

function escapeCharacter(character: string): string {
  return Buffer.from(character).toString('hex').toUpperCase().replace(/../g, '%$&')
}

function characterOf(hex: string): string | null {
  try {
    return decodeURIComponent(`%${hex}`)
  } catch {
    return null // An overlong form or half of a surrogate pair: no character is escaped this way.
  }
}

function isLonger(text: string, bytes: number): boolean {
  return text.length * 3 > bytes && Buffer.byteLength(text) > bytes
}
