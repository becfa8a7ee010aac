import { nearest } from '@stored/core/backend'
import { BACKEND_OPTIONS, DRIVER_OPTION, type Option, type Options, optionAt, own, STORE_OPTIONS } from './options.ts'
import { isSecretName } from './secrets.ts'
import { type Branch, backendNames, type Entry, entryOf, type Fault, isBranch, type Place, setEntry } from './tree.ts'

const PREFIX = 'STORED_'
/** The configuration file; not part of a configuration. */
export const FILE_VARIABLE = 'STORED_CONFIG'

type Environment = Readonly<Record<string, string | undefined>>

/** The variables that are part of a configuration. Empty ones count as unset. */
export function configVariables(env: Environment): string[] {
  return Object.keys(env).filter((name) => name.startsWith(PREFIX) && name !== FILE_VARIABLE && env[name])
}

/** Applies environment variables on top of `tree`. */
export function readEnvironment(tree: Branch, env: Environment, base: string): Fault[] {
  const parts = (name: string) => name.slice(PREFIX.length).split('__')
  // `STORED_CACHE` before `STORED_CACHE__MAX_SIZE`: the value of a part overrides that of the whole.
  const names = configVariables(env).sort((a, b) => parts(a).length - parts(b).length || (a < b ? -1 : 1))
  return names.flatMap((name) => {
    const place = { from: 'environment', where: name, base } as const
    const option = pathOf(parts(name), tree)
    if (typeof option === 'string') return [{ where: name, text: option }]
    return giveText(tree, option, env[name] as string, place)
  })
}

/** Applies flags on top of `tree`, by dotted path. */
export function readOverrides(tree: Branch, overrides: Readonly<Record<string, unknown>>, base: string): Fault[] {
  return Object.entries(overrides).flatMap(([dotted, value]) => {
    if (value === undefined) return []
    const place = { from: 'flag', where: `--${dotted}`, base } as const
    const option = splitDotted(dotted, tree)
    return typeof value === 'string' ? giveText(tree, option, value, place) : give(tree, option, entryOf(value, place))
  })
}

function giveText(tree: Branch, path: readonly string[], text: string, place: Place): Fault[] {
  return give(tree, path, entryOf(readText(text, path), place))
}

function give(tree: Branch, path: readonly string[], entry: Entry): Fault[] {
  const inTheWay = setEntry(tree, isReference(path) ? withoutReference(tree, path) : path, entry)
  // Within one source the two contradict each other; over another source a value may become an object.
  if (inTheWay?.from !== entry.from) return []
  return [{ where: entry.where, text: `contradicts ${inTheWay.where}` }]
}

/** `{ "env": … }` replaces `{ "file": … }`, and vice versa. */
function withoutReference(tree: Branch, path: readonly string[]): readonly string[] {
  let branch: Entry | undefined = tree
  for (const name of path.slice(0, -1)) branch = isBranch(branch) ? branch.children.get(name) : undefined
  if (isBranch(branch)) for (const name of ['env', 'file']) branch.children.delete(name)
  return path
}

function isReference(path: readonly string[]): boolean {
  return path[0] === 'backends' && path.length > 3 && (path.at(-1) === 'env' || path.at(-1) === 'file')
}

/**
 * `STORED_BACKENDS__S3_PROD__ACCESS_KEY_ID` → backends, s3-prod, accessKeyId. @returns A string with the reason if that
 * fails.
 */
function pathOf([root = '', ...rest]: readonly string[], tree: Branch): readonly string[] | string {
  const first = toCamelCase(root)
  if (first !== 'backends' || rest.length === 0) return [first, ...rest.map(toCamelCase)]
  const [backend = '', ...options] = rest
  const names = backendNames(tree).filter((name) => toVariablePart(name) === toVariablePart(backend))
  const exact = names.includes(backend) ? backend : names[0]
  if (exact !== backend && names.length > 1) return `may mean the backend ${names.join(' or ')}`
  return [first, exact ?? (isUpperCase(backend) ? backend.toLowerCase() : backend), ...options.map(toCamelCase)]
}

/** The name of a backend may contain dots; driver options do not. */
function splitDotted(dotted: string, tree: Branch): readonly string[] {
  const [first = '', ...rest] = dotted.split('.')
  if (first !== 'backends') return [first, ...rest]
  const inner = rest.join('.')
  const known = backendNames(tree)
    .filter((name) => inner === name || inner.startsWith(`${name}.`))
    .sort((a, b) => b.length - a.length)[0]
  if (known === undefined) return [first, ...rest]
  return [first, known, ...inner.slice(known.length + 1).split('.')].filter((part) => part !== '')
}

function isUpperCase(part: string): boolean {
  return !/[a-z]/.test(part)
}

/** `MAX_SIZE` → `maxSize`; a part with a lower-case letter is taken literally. */
function toCamelCase(part: string): string {
  return isUpperCase(part) ? part.toLowerCase().replaceAll(/_([a-z0-9])/g, (_, next) => next.toUpperCase()) : part
}

function toVariablePart(name: string): string {
  return name
    .replaceAll(/(?<=[a-z0-9])(?=[A-Z])/g, '_')
    .replaceAll(/[.-]/g, '_')
    .toUpperCase()
}

export function toVariable(path: readonly string[]): string {
  return PREFIX + path.map(toVariablePart).join('__')
}

/** Parses a text: JSON if it parses, otherwise text. Errors in it are reported with all others. */
function readText(text: string, path: readonly string[]): unknown {
  const option = optionAt(path)
  if (option) return readKnown(text, option)
  // A password of digits stays a text.
  const isVerbatim = isReference(path) || (path.slice(2).some(isSecretName) && !text.startsWith('{'))
  return isVerbatim ? text : parseJson(text)
}

function readKnown(text: string, { is }: Option): unknown {
  if (is === 'text' || is === 'path' || is === 'prefix' || is === 'choice') return text
  if (is === 'list' && !text.trimStart().startsWith('[')) return text.split(',').map((part) => part.trim())
  return parseJson(text)
}

function parseJson(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text)
    // 12345678901234567890 and 1e3 may be names as well as numbers: a text stays a text unless the number prints the
    // same.
    return typeof value === 'number' && String(value) !== text.trim() ? text : value
  } catch {
    return text
  }
}

/** The variable that `name` was probably meant to be. */
export function nearestVariable(name: string, tree: Branch): string {
  const part = name.slice(PREFIX.length)
  const [root = '', ...rest] = part.split('__')
  const roots = Object.keys(STORE_OPTIONS).map(toVariablePart)
  const wrongRoot = rest.length > 0 && !roots.includes(root)
  const best = wrongRoot ? nearest(root, roots) : nearest(part, allVariables(tree))
  if (best === undefined) return `known: ${roots.map((each) => PREFIX + each).join(', ')}`
  return `did you mean ${PREFIX}${wrongRoot ? [best, ...rest].join('__') : best}?`
}

/** Without their prefix, which would make them all look alike. */
function allVariables(tree: Branch): string[] {
  const ofBackends = { driver: DRIVER_OPTION, ...BACKEND_OPTIONS }
  return [
    ...leaves(STORE_OPTIONS, []),
    ...backendNames(tree).flatMap((name) => leaves(ofBackends, ['backends', name])),
    FILE_VARIABLE.slice(PREFIX.length),
  ]
}

function leaves(options: Options, path: readonly string[]): string[] {
  return Object.keys(options).flatMap((name) => {
    const inner = [...path, name]
    return [toVariable(inner).slice(PREFIX.length), ...leaves(own(options, name)?.options ?? {}, inner)]
  })
}
