import { MAX_KEY_BYTES } from './keys.ts'

/** What an option is. */
export interface Rule {
  /** For people, with its article: `a whole number from 1`. */
  readonly expected: string
  /** Whether a value is that. */
  readonly holds: (value: unknown) => boolean
  /** Without the option nothing can be done. @default it may be left out */
  readonly needed?: true
  /** A wrong value of this type may be shown in a message: it is never a secret. @default a message names its type */
  readonly shown?: 'number' | 'string'
  /** The options of an object, each with a rule of its own. */
  readonly options?: Rules
}

/** What the options of a call, a driver or a configuration are, by their names. */
export type Rules = Readonly<Record<string, Rule>>

/** A rule for every option of `Options`: one that has none does not compile. */
export type RulesOf<Options> = Readonly<Record<keyof Options & string, Rule>>

/** Two tokens, then parameters in visible ASCII. @see RFC 9110 section 8.3.1. */
const MIME_TYPE = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+\/[!#$%&'*+.^_`|~0-9A-Za-z-]+ *(?:;[ -~]*)?$/

/** The usual rules. */
export const is = {
  boolean: { expected: 'true or false', holds: (value) => typeof value === 'boolean' },
  text: { expected: 'a string that is not empty', holds: isText },
  /** Also an empty one. */
  anyText: { expected: 'a string', holds: (value) => typeof value === 'string' },
  /** Of this machine. */
  path: { expected: 'a path, without NUL or half of a surrogate pair', holds: isPath },
  object: { expected: 'an object', holds: isObject },
  callback: { expected: 'a function', holds: (value) => typeof value === 'function' },
  signal: {
    expected: 'an AbortSignal',
    // What only has the prototype of one throws.
    holds: (value) => value instanceof AbortSignal && typeof value.aborted === 'boolean',
  },
  /** What a key may begin with, or sort after. */
  keyPart: {
    expected: `well-formed text of at most ${MAX_KEY_BYTES.toLocaleString('en-US')} bytes`,
    holds: (value) => typeof value === 'string' && value.isWellFormed() && isKeyLong(value),
    shown: 'string',
  },
  mimeType: {
    expected: 'a MIME type, such as text/plain; charset=utf-8, of at most 255 characters',
    holds: (value) => typeof value === 'string' && value.length <= 255 && MIME_TYPE.test(value),
    shown: 'string',
  },
  names: {
    expected: 'an array of names',
    holds: (value) => Array.isArray(value) && value.every((name) => typeof name === 'string'),
  },
  /** @param unit `of bytes`, where it is not clear what is counted. */
  whole(least: number, most = Number.MAX_SAFE_INTEGER, unit = ''): Rule {
    const end = most === Number.MAX_SAFE_INTEGER ? '' : ` to ${most.toLocaleString('en-US')}`
    return {
      expected: `a whole number${unit && ` ${unit}`} from ${least}${end}`,
      holds: (value) => Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most,
      shown: 'number',
    }
  },
  oneOf(choices: readonly string[]): Rule {
    const quoted = choices.map((choice) => JSON.stringify(choice))
    const expected = [quoted.slice(0, -1).join(', '), ...quoted.slice(-1)].filter(Boolean).join(' or ')
    return { expected, holds: (value) => choices.includes(value as string), shown: 'string' }
  },
  group(options: Rules): Rule {
    return { expected: 'an object', holds: isObject, options }
  },
} as const satisfies Record<string, Rule | ((...args: never[]) => Rule)>

/** The same rule for an option without which nothing can be done. */
export function needed(rule: Rule): Rule {
  return { ...rule, needed: true }
}

function isKeyLong(text: string): boolean {
  return text.length <= MAX_KEY_BYTES && Buffer.byteLength(text) <= MAX_KEY_BYTES
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== ''
}

function isPath(value: unknown): boolean {
  return typeof value === 'string' && value !== '' && !value.includes('\0') && value.isWellFormed()
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
