import { MAX_KEY_BYTES } from './keys.ts'

/** A condition on a value. */
export interface Check {
  /** For people, with its article: `a whole number from 1`. */
  readonly expected: string
  /** Whether a value meets it. */
  readonly holds: (value: unknown) => boolean
  /**
   * A wrong value of this type may be shown in a message, because it is never a secret. @default a message names its
   * type
   */
  readonly shown?: 'number' | 'string'
  /** The same as a JSON Schema, as far as that can express it. @default it cannot be given in a configuration */
  readonly schema?: Readonly<Record<string, unknown>>
  /** The options of an object, each with its own rule. */
  readonly options?: Rules
}

/** The rule for an option. */
export interface Rule<Value = unknown> extends Check {
  /** The option is required. @default it may be left out */
  readonly needed?: true
  /** The value that `checkOptions` fills in for an option that is left out. @default nothing */
  readonly default?: Value
}

/** The rules for the options of a call, a driver or a configuration, by name. */
export type Rules = Readonly<Record<string, Rule>>

/** A rule for every option of `Options`: a missing one does not compile. */
export type RulesOf<Options> = Readonly<Record<keyof Options & string, Rule>>

/**
 * The single description of an option: the check and its error text, the default, and the text for its README,
 * docstring and JSON Schema, which a test generates and compares.
 */
export interface OptionRule<Value = unknown> extends Rule<Value> {
  /** For people, in Markdown; with the unit. */
  readonly doc: string
  /** The default in words, if it depends on something or is clearer that way. */
  readonly otherwise?: string
}

/**
 * A description for every option of `Options`. It does not compile if one is missing or surplus, if a default has the
 * wrong type, if `needed` is set on an optional one, or if it is absent on a required one.
 */
export type OptionRulesOf<Options> = {
  readonly [Name in keyof Options & string]-?: OptionRule<NonNullable<Options[Name]>> &
    (object extends Pick<Options, Name> ? { readonly needed?: never } : { readonly needed: true })
}

/** Two tokens, then parameters in visible ASCII. @see RFC 9110 section 8.3.1. */
const MIME_TYPE = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+\/[!#$%&'*+.^_`|~0-9A-Za-z-]+ *(?:;[ -~]*)?$/

const TEXT = { type: 'string', minLength: 1 }

/** The usual rules. */
export const is = {
  boolean: { expected: 'true or false', holds: (value) => typeof value === 'boolean', schema: { type: 'boolean' } },
  text: { expected: 'a string that is not empty', holds: isText, schema: TEXT },
  /** Also the empty one. */
  anyText: { expected: 'a string', holds: (value) => typeof value === 'string', schema: { type: 'string' } },
  /** On this machine. */
  path: { expected: 'a path, without NUL or half of a surrogate pair', holds: isPath, schema: TEXT },
  object: { expected: 'an object', holds: isObject },
  callback: { expected: 'a function', holds: (value) => typeof value === 'function' },
  signal: {
    expected: 'an AbortSignal',
    // An object that only has the prototype of an AbortSignal throws.
    holds: (value) => value instanceof AbortSignal && typeof value.aborted === 'boolean',
  },
  /** What a key may start with, or sort after. */
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
  /** @param unit `of bytes`, if it is not clear what is counted. */
  whole(least: number, most = Number.MAX_SAFE_INTEGER, unit = ''): Check {
    const end = most === Number.MAX_SAFE_INTEGER ? '' : ` to ${most.toLocaleString('en-US')}`
    return {
      expected: `a whole number${unit && ` ${unit}`} from ${least}${end}`,
      holds: (value) => Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most,
      shown: 'number',
      schema: { type: 'integer', minimum: least, ...(end && { maximum: most }) },
    }
  },
  oneOf(choices: readonly string[]): Check {
    const quoted = choices.map((choice) => JSON.stringify(choice))
    const expected = [quoted.slice(0, -1).join(', '), ...quoted.slice(-1)].filter(Boolean).join(' or ')
    return { expected, holds: (value) => choices.includes(value as string), shown: 'string', schema: { enum: choices } }
  },
  group(options: Rules): Check {
    return { expected: 'an object', holds: isObject, options }
  },
} as const satisfies Record<string, Check | ((...args: never[]) => Check)>

/** The same rule for a required option. */
export function needed<Described extends Check>(rule: Described): Described & { readonly needed: true } {
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
