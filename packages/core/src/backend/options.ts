import { type ErrorLocation, StorageError } from './error.ts'
import type { Rule, Rules } from './rules.ts'

/**
 * Refuses an options object that has a name outside `known`, and suggests the nearest name. If `known` has rules, it also refuses a
 * value that breaks its rule, naming the option and the type of the value. `undefined` counts as absent. Nothing is converted:
 * `'false'` is not `false`.
 *
 * @param group The option that these options belong to.
 * @returns The checked options, with defaults filled in. Each value was read once, because a getter or a Proxy may return another one next time.
 * @throws {StorageError} INVALID_ARGUMENT.
 */
export function checkOptions<Options>(
  options: Options,
  known: readonly string[] | Rules,
  at: ErrorLocation,
  group?: string,
): Options {
  if (!isObject(options)) {
    const detail = `options must be an object, not ${describeType(options)}`
    throw new StorageError('INVALID_ARGUMENT', at, { detail })
  }
  const names = Array.isArray(known) ? known : Object.keys(known)
  for (const name of readable('options', () => Object.keys(options), at))
    if (!names.includes(name)) throw unknownName('option', name, names, at)
  const rules = Array.isArray(known) ? {} : (known as Rules)
  const checked: Record<string, unknown> = {}
  for (const name of names) {
    const title = group === undefined ? name : `${group}.${name}`
    const value = readable(
      `option ${JSON.stringify(title)}`,
      () => copyOf((options as Record<string, unknown>)[name]),
      at,
    )
    const rule = rules[name]
    const kept = rule ? checkOption(title, value, rule, at) : value
    if (kept !== undefined) checked[name] = kept
  }
  return checked as Options
}

/**
 * Refuses a value that breaks `rule`.
 *
 * @returns The value; for an object with its own options, what `checkOptions` returns.
 * @throws {StorageError} INVALID_ARGUMENT, naming the option.
 */
export function checkOption(name: string, value: unknown, rule: Rule, at: ErrorLocation): unknown {
  if (value === undefined && !rule.needed) return rule.default
  if (!holds(rule, value)) {
    const wrong = value === undefined ? 'is missing: it must be' : 'must be'
    const found = value === undefined ? '' : `, not ${describeValue(value, rule)}`
    const detail = `option ${JSON.stringify(name)} ${wrong} ${rule.expected}${found}`
    throw new StorageError('INVALID_ARGUMENT', at, { detail })
  }
  return rule.options ? checkOptions(value, rule.options, at, name) : value
}

/** A value that throws when inspected breaks the rule. */
function holds(rule: Rule, value: unknown): boolean {
  try {
    return rule.holds(value)
  } catch {
    return false
  }
}

function readable<T>(what: string, read: () => T, at: ErrorLocation): T {
  try {
    return read()
  } catch (cause) {
    throw new StorageError('INVALID_ARGUMENT', at, { cause, detail: `${what} cannot be read` })
  }
}

/** A list may change too. Stop at the first missing element, since a list may claim to be longer than memory. */
function copyOf(value: unknown): unknown {
  if (!Array.isArray(value)) return value
  const copy: unknown[] = []
  for (let i = 0; i < value.length; i++) {
    copy.push(value[i])
    if (copy[i] === undefined) break
  }
  return copy
}

/** How much of a text is shown, in UTF-16 units. */
const MAX_SHOWN = 100

function describeValue(value: unknown, { shown }: Rule): string {
  if (value === '') return 'an empty string'
  if (typeof value !== shown) return describeType(value)
  return shown === 'string' ? JSON.stringify((value as string).slice(0, MAX_SHOWN)) : String(value)
}

/** The error for a name that is not one of `known`. */
export function unknownName(kind: string, name: string, known: readonly string[], at: ErrorLocation): StorageError {
  const best = nearest(name, known)
  const hint =
    best === undefined
      ? `known: ${known.length > 0 ? known.join(', ') : 'none'}`
      : `did you mean ${JSON.stringify(best)}?`
  return new StorageError('INVALID_ARGUMENT', at, { detail: `unknown ${kind} ${JSON.stringify(name)}; ${hint}` })
}

/** The type of `value`, for a message. Never the value itself, which may be a secret. */
export function describeType(value: unknown): string {
  if (value === null) return 'null'
  return isList(value) ? 'array' : typeof value
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !isList(value)
}

function isList(value: unknown): boolean {
  try {
    return Array.isArray(value)
  } catch {
    // A revoked Proxy reveals nothing.
    return false
  }
}

/** The candidate that was probably meant by a typing mistake, or `undefined` if none is close. */
export function nearest(name: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined
  let least = Math.max(2, Math.floor(name.length / 2))
  for (const candidate of candidates) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase())
    if (distance < least || (distance === least && best === undefined)) {
      best = candidate
      least = distance
    }
  }
  return best
}

/** Levenshtein distance, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const substitute = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(substitute, (row[j] as number) + 1, (next[j - 1] as number) + 1))
    }
    row = next
  }
  return row[b.length] as number
}
