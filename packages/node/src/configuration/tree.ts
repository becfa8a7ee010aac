import { describeType } from '@stored/core/backend'

/** Where a value was given. */
export interface Place {
  readonly from: 'file' | 'environment' | 'flag'
  /** `stored.config.json:12`, `STORED_PATH`, `--path`. */
  readonly where: string
  /** The directory that relative paths start from. */
  readonly base: string
}

export interface Leaf extends Place {
  readonly value: unknown
  /** Not to be shown: it came through a reference, or its driver lists it as a secret. */
  readonly secret?: true
}

export interface Branch extends Place {
  readonly isList: boolean
  readonly children: Map<string, Entry>
}

/** A configuration before validation: every value knows where it was given. */
export type Entry = Leaf | Branch

/** What is wrong, and where. */
export interface Fault {
  readonly where: string
  readonly text: string
  /** Permissions are missing. */
  readonly isDenial?: boolean
}

export function isBranch(entry: Entry | undefined): entry is Branch {
  return entry !== undefined && 'children' in entry
}

export function emptyBranch(place: Place): Branch {
  return { ...place, isList: false, children: new Map() }
}

/** The configuration in an object, whatever its class. */
export function branchOf(value: object, place: Place): Branch {
  return { ...place, isList: false, children: childrenOf(value, place) }
}

/** `value` given at `place`. Anything but plain objects and arrays stays unchanged; `undefined` counts as not given. */
export function entryOf(value: unknown, place: Place): Entry {
  if (Array.isArray(value)) return { ...place, isList: true, children: childrenOf(value, place) }
  return isPlainObject(value) ? { ...place, isList: false, children: childrenOf(value, place) } : { ...place, value }
}

function childrenOf(value: object, place: Place): Map<string, Entry> {
  const given = Object.entries(value).filter(([, each]) => each !== undefined)
  return new Map(given.map(([name, each]) => [name, entryOf(each, place)]))
}

/** The backends of a configuration, by name. */
export function backendsOf(tree: Branch): [string, Entry][] {
  const backends = tree.children.get('backends')
  return isBranch(backends) ? [...backends.children] : []
}

export function backendNames(tree: Branch): string[] {
  return backendsOf(tree).map(([name]) => name)
}

/**
 * Sets `entry` at `path`, replacing what was there.
 *
 * @returns The leaf that was in the way of the path, if any.
 */
export function setEntry(root: Branch, path: readonly string[], entry: Entry): Leaf | undefined {
  let branch = root
  let inTheWay: Leaf | undefined
  for (const name of path.slice(0, -1)) {
    let next = branch.children.get(name)
    if (!isBranch(next)) {
      inTheWay = next
      next = emptyBranch(entry)
      branch.children.set(name, next)
    }
    branch = next
  }
  branch.children.set(path.at(-1) as string, entry)
  return inTheWay
}

/** `entry`, marked as not to be shown. */
export function hidden(entry: Entry): Entry {
  if (!isBranch(entry)) return { ...entry, secret: true }
  return { ...entry, children: new Map([...entry.children].map(([name, child]) => [name, hidden(child)])) }
}

export function toValue(entry: Entry): unknown {
  if (!isBranch(entry)) return entry.value
  const children = [...entry.children]
  return entry.isList
    ? children.map(([, child]) => toValue(child))
    : Object.fromEntries(children.map(([name, child]) => [name, toValue(child)]))
}

/** The type of what was given, for a message: never the value. */
export function typeOf(entry: Entry): string {
  return isBranch(entry) ? (entry.isList ? 'array' : 'object') : describeType(entry.value)
}

/** `cache`, `maxSize` → `cache.maxSize`; `checksums`, 1 in a list → `checksums[1]`. */
export function childOption(option: string, name: string, isList: boolean): string {
  if (isList) return `${option}[${name}]`
  return option === '' ? name : `${option}.${name}`
}

function isPlainObject(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false
  const prototype = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}
