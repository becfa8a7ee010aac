import { type ErrorLocation, StorageError } from './error.ts'
import type { Rule, Rules } from './rules.ts'

/**
 * Refuses an options object with a name that is not one of `known`, naming the nearest that is; and, where `known` says what
 * the options are, one whose value is something else, naming the option and the type of its value. `undefined` is as good as
 * absent. Nothing is converted: `'false'` is no `false`.
 *
 * @param group The option that these are options of.
 * @throws {StorageError} INVALID_ARGUMENT.
 */
export function checkOptions(
  options: unknown,
  known: readonly string[] | Rules,
  at: ErrorLocation,
  group?: string,
): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    const detail = `options are an object, not ${describeType(options)}`
    throw new StorageError('INVALID_ARGUMENT', at, { detail })
  }
  const names = Array.isArray(known) ? known : Object.keys(known)
  for (const name of Object.keys(options)) if (!names.includes(name)) throw unknownName('option', name, names, at)
  if (Array.isArray(known)) return
  for (const [name, rule] of Object.entries(known as Rules)) {
    const value = (options as Readonly<Record<string, unknown>>)[name]
    checkOption(group === undefined ? name : `${group}.${name}`, value, rule, at)
  }
}

/** Refuses a value that is not what `rule` says. @throws {StorageError} INVALID_ARGUMENT, naming the option. */
export function checkOption(name: string, value: unknown, rule: Rule, at: ErrorLocation): void {
  if (value === undefined && !rule.needed) return
  if (!rule.holds(value)) {
    const detail = `option ${JSON.stringify(name)} is ${rule.expected}, not ${describeValue(value, rule)}`
    throw new StorageError('INVALID_ARGUMENT', at, { detail })
  }
  if (rule.options) checkOptions(value, rule.options, at, name)
}

function describeValue(value: unknown, { shown }: Rule): string {
  if (value === '') return 'an empty string'
  if (typeof value !== shown) return describeType(value)
  return shown === 'string' ? JSON.stringify(value) : String(value)
}

/** The error for a name that is not one of `known`. */
export function unknownName(kind: string, name: string, known: readonly string[], at: ErrorLocation): StorageError {
  const best = nearest(name, known)
  const hint =
    best === undefined
      ? `there ${known.length ? `is ${known.join(', ')}` : 'is none'}`
      : `did you mean ${JSON.stringify(best)}?`
  return new StorageError('INVALID_ARGUMENT', at, { detail: `unknown ${kind} ${JSON.stringify(name)}; ${hint}` })
}

/** What `value` is, for a message: never the value itself, which may be a secret. */
export function describeType(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'array' : typeof value
}

/** The candidate that a typing mistake most likely meant, or `undefined` when none is close. */
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

/** Levenshtein's distance, a row at a time. */
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
