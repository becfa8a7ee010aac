import { describeType, is, keyFault, nearest } from '@stored/core/backend'
import { parseByteSize } from '../byte-size.ts'
import { nearestVariable, toVariable } from './environment.ts'
import {
  BACKEND_NAME,
  BACKEND_OPTIONS,
  DRIVER_OPTION,
  type Option,
  type Options,
  own,
  STORE_OPTIONS,
} from './options.ts'
import { type Branch, backendNames, childOption, type Entry, type Fault, isBranch, toValue, typeOf } from './tree.ts'

/**
 * All faults of a configuration, except the options of drivers, which check them themselves. No message contains a
 * value.
 */
export function checkTree(tree: Branch): Fault[] {
  const given = checkGroup(tree, STORE_OPTIONS, '', tree)
  // Misspelled options have already been reported.
  const absent = missing(tree, STORE_OPTIONS).filter((name) => !nearest(name, strangers(tree, STORE_OPTIONS)))
  return [...given, ...absent.map((name) => missingFault(tree, STORE_OPTIONS, '', name))]
}

function checkGroup(branch: Branch, options: Options, path: string, tree: Branch): Fault[] {
  return [...branch.children].flatMap(([name, entry]) => {
    const option = own(options, name)
    const inner = childOption(path, name, false)
    return option ? checkEntry(entry, option, inner, tree) : [unknown(entry, path, name, Object.keys(options), tree)]
  })
}

function unknown(entry: Entry, path: string, name: string, known: readonly string[], tree: Branch): Fault {
  const { where } = entry
  if (entry.from === 'environment') return { where, text: `unknown variable; ${nearestVariable(where, tree)}` }
  const option = JSON.stringify(childOption(path, name, false))
  return { where, text: `unknown option ${option}; ${hint(name, known, path)}` }
}

function missingFault(branch: Branch, options: Options, path: string, name: string): Fault {
  const option = childOption(path, name, false)
  const best = nearest(name, strangers(branch, options))
  if (best !== undefined) return { where: branch.where, text: `${option} is missing; is it ${JSON.stringify(best)}?` }
  const how = branch.from === 'environment' ? `: set ${toVariable(option.split('.'))}` : ''
  return { where: branch.where, text: `${option} is missing${how}` }
}

function missing({ children }: Branch, options: Options): string[] {
  return Object.keys(options).filter((name) => own(options, name)?.required && !children.has(name))
}

function strangers({ children }: Branch, options: Options): string[] {
  return [...children.keys()].filter((name) => !own(options, name))
}

function checkEntry(entry: Entry, option: Option, path: string, tree: Branch): Fault[] {
  if (option.is === 'group' && isObject(entry)) return checkGroup(entry, option.options ?? {}, path, tree)
  if (option.is === 'backends' && isObject(entry)) return checkBackends(entry, path, tree)
  if (option.is === 'list' && isBranch(entry) && entry.isList)
    return [...entry.children].flatMap(([i, item]) => checkItem(item, option, childOption(path, i, true), tree))
  const wrong = faultOf(toValue(entry), option)
  return wrong === null ? [] : [{ where: entry.where, text: `${path} ${wrong}` }]
}

function checkItem(item: Entry, { choices }: Option, path: string, tree: Branch): Fault[] {
  const value = toValue(item)
  const known = choices ?? backendNames(tree)
  if (typeof value === 'string' && known.includes(value)) return []
  const expected = choices ? oneOf(choices) : 'the name of a backend'
  const found = typeof value === 'string' ? `this string; ${hint(value, known)}` : describeType(value)
  return [{ where: item.where, text: `${path} must be ${expected}, not ${found}` }]
}

function checkBackends(backends: Branch, path: string, tree: Branch): Fault[] {
  return [...backends.children].flatMap(([name, backend]) => {
    const option = childOption(path, name, false)
    if (!BACKEND_NAME.test(name)) {
      const text = `${JSON.stringify(name)} is not a backend name: use letters, digits, ".", "_", "-", at most 64`
      return [{ where: backend.where, text }]
    }
    return checkBackend(backend, option, tree)
  })
}

function checkBackend(backend: Entry, path: string, tree: Branch): Fault[] {
  // A module can export an instance of a driver's class.
  if (isMade(backend)) return []
  if (!isObject(backend)) return [{ where: backend.where, text: `${path} must be an object, not ${typeOf(backend)}` }]
  const isWrapped = isMade(backend.children.get('backend'))
  const options = isWrapped ? BACKEND_OPTIONS : { driver: DRIVER_OPTION, ...BACKEND_OPTIONS }
  const given = [...backend.children].flatMap(([name, entry]) => {
    const option = own(options, name)
    return option ? checkEntry(entry, option, childOption(path, name, false), tree) : []
  })
  return [...given, ...missing(backend, options).map((name) => missingFault(backend, options, path, name))]
}

function isMade(entry: Entry | undefined): boolean {
  return entry !== undefined && !isBranch(entry) && typeof entry.value === 'object' && entry.value !== null
}

function isObject(entry: Entry): entry is Branch {
  return isBranch(entry) && !entry.isList
}

/** `must be a string, not number`, or `null` if it is valid. */
function faultOf(value: unknown, option: Option): string | null {
  const { expected, type, ok, why } = EXPECTATIONS[option.is](value, option)
  if (ok) return null
  if (value === '') return `must be ${expected}, not an empty string`
  const found = describeType(value)
  return `must be ${expected}, not ${type.includes(found) ? `this ${found}` : found}${why ? `; ${why}` : ''}`
}

interface Expectation {
  /** For people, with its article. */
  readonly expected: string
  /** A value of one of these types has the right type but is still invalid. */
  readonly type: readonly string[]
  readonly ok: boolean
  readonly why?: string | undefined
}

const EXPECTATIONS: Readonly<Record<Option['is'], (value: unknown, option: Option) => Expectation>> = {
  text: expectText,
  path: expectPath,
  prefix: (value) => {
    const why = typeof value === 'string' ? (keyFault(`${value}/x`) ?? undefined) : undefined
    return { expected: 'the first part of a key', type: ['string'], ok: typeof value === 'string' && !why, why }
  },
  boolean: (value) => ({ expected: 'true or false', type: [], ok: typeof value === 'boolean' }),
  count: (value, { least = 1 }) => ({
    expected: `a whole number from ${least}`,
    type: ['number'],
    ok: Number.isSafeInteger(value) && (value as number) >= least,
  }),
  size: (value) => ({
    expected: 'a number of bytes from 1, or a text like "500 MB" or "1GiB"',
    type: ['number', 'string'],
    ok: parseByteSize(value) !== null,
  }),
  choice: (value, { choices = [] }) => {
    const ok = typeof value === 'string' && choices.includes(value)
    const best = typeof value === 'string' ? nearest(value, choices) : undefined
    return { expected: oneOf(choices), type: ['string'], ok, why: best && `did you mean ${JSON.stringify(best)}?` }
  },
  list: () => ({ expected: 'an array', type: [], ok: false }),
  group: (value, { orFalse }) => ({
    expected: orFalse ? 'an object or false' : 'an object',
    type: [],
    ok: orFalse === true && value === false,
  }),
  backends: () => ({ expected: 'an object', type: [], ok: false }),
}

function expectText(value: unknown): Expectation {
  return { expected: 'a string', type: [], ok: typeof value === 'string' && value !== '' }
}

function expectPath(value: unknown): Expectation {
  if (!expectText(value).ok || is.path.holds(value)) return expectText(value)
  return { expected: 'a path', type: ['string'], ok: false, why: 'it contains a NUL or half of a surrogate pair' }
}

function oneOf(choices: readonly string[]): string {
  const quoted = choices.map((choice) => JSON.stringify(choice))
  return [quoted.slice(0, -1).join(', '), ...quoted.slice(-1)].join(' or ')
}

function hint(name: string, known: readonly string[], path = ''): string {
  const best = nearest(name, known)
  if (best !== undefined) return `did you mean ${JSON.stringify(childOption(path, best, false))}?`
  return `known: ${known.length > 0 ? known.join(', ') : 'none'}`
}
